// From the steps of a connection to what a ladder shows: which lines there are, where each step stands, and from where
// its packet came. Knows nothing of drawing.

/** A packet's way through the kernel, which is the order of the lines within a namespace. */
const STAGES = ["ingress", "prerouting", "routing", "input", "forward", "socket", "output", "postrouting", "egress"];

/** Actions that are the sight of a packet at a device. */
const SIGHTINGS = ["syn", "synack", "ack", "rst"];

/**
 * { lines: [{ kind, netns, stage, name }], rows: [{ step, index, line, from, isUnseen, onward, packet, pause }] }
 *
 * Lines are those of the client, of each namespace by stage, and of the backend. `from` is the line that the packet
 * came from, null where it did not move; `isUnseen`: from outside of what was observed. `onward` is a line that it
 * went on to, out of sight or into a socket. `packet` is told where it is new or was rewritten.
 */
function journey(details) {
  const lines = linesOf(details);
  const find = (netns, stage) => lines.findIndex((line) => line.netns === netns && line.stage === stage);
  const client = 0;
  const backend = lines.length - 1;

  /** By kind of packet and direction: where it was last, and where it was seen already. */
  const packets = new Map();
  const rows = [];
  let resetLine = null; // where the last reset was made
  let lastKey = null;
  const lastLines = new Map(); // by namespace

  /** A packet that was last seen leaving went on to an end that is not observed. */
  function leave(key) {
    const packet = packets.get(key);
    const row = packet && rows[packet.row];
    if (!row || !SIGHTINGS.includes(row.step.action) || row.step.stage !== "egress") return;
    row.onward = { line: packet.isAnswer ? client : backend, isUnseen: true };
  }

  function move(step, key, line, row) {
    let packet = packets.get(key);
    const place = line + " " + step.device;
    if (packet && SIGHTINGS.includes(step.action) && packet.places.has(place)) {
      leave(key);
      packet = undefined; // the same place again: it was sent again
    }
    if (!packet) {
      const isReset = key.startsWith("RST") && resetLine !== null;
      const origin = isReset ? resetLine : step.isAnswer ? backend : client;
      packet = { line: origin, places: new Set(), shown: "", isAnswer: step.isAnswer };
      packets.set(key, packet);
      row.isUnseen = !isReset && step.stage === "ingress";
    }
    if (packet.line !== line) row.from = packet.line;
    packet.line = line;
    packet.row = rows.length;
    if (SIGHTINGS.includes(step.action)) packet.places.add(place);
    const shown = step.source && step.source + " → " + step.destination;
    if (shown && shown !== packet.shown) {
      row.packet = step.role + " " + shown;
      packet.shown = shown;
    }
    lastKey = key;
  }

  details.steps.forEach((step, index) => {
    const stage = step.stage || lastLines.get(step.netns) || NO_STAGE;
    const line = find(step.netns, stage);
    lastLines.set(step.netns, stage);
    const row = { step, index, line, from: null, isUnseen: false, onward: null, packet: "", pause: 0 };
    if (index > 0) row.pause = step.offset - details.steps[index - 1].offset;
    if (step.action === "retransmit") {
      // Told after the packet itself went by.
    } else if (step.action === "icmp") {
      move({ ...step, isAnswer: true, source: "" }, "ICMP", line, row);
    } else if (step.role) {
      move(step, step.role + (step.isAnswer ? "<" : ">"), line, row);
    } else if (step.isConcluded && lastKey !== null) {
      // Concluded without a packet: of the last one, if that is in the same namespace and runs the same way.
      const last = packets.get(lastKey);
      const isSameWay = last.isAnswer === (step.action === "nat.reverse");
      if (isSameWay && lines[last.line].netns === step.netns) {
        move({ ...step, isAnswer: last.isAnswer, source: "" }, lastKey, line, row);
      }
    }
    if (step.action === "reset") {
      resetLine = line;
      packets.delete("RST<");
      packets.delete("RST>");
    } else if (step.action === "deliver" && step.isAnswer) {
      row.onward = { line: client, isUnseen: false };
    } else if (step.action === "request") {
      row.onward = { line: backend, isUnseen: false };
    }
    rows.push(row);
  });
  for (const key of packets.keys()) leave(key);
  return { lines, rows };
}

/** For what happened at no known stage. */
const NO_STAGE = "elsewhere";

function linesOf(details) {
  const lines = [{ kind: "client", netns: null, stage: null, name: details.client }];
  const stages = new Map(); // by namespace, in the order of their first steps
  for (const step of details.steps) {
    if (!stages.has(step.netns)) stages.set(step.netns, new Set());
    if (step.stage) stages.get(step.netns).add(step.stage);
  }
  // Where the first step of a namespace has no stage, it has a line of its own.
  const begun = new Set();
  for (const step of details.steps) {
    if (!step.stage && !begun.has(step.netns)) stages.get(step.netns).add(NO_STAGE);
    begun.add(step.netns);
  }
  for (const [netns, names] of stages) {
    for (const stage of [...STAGES, NO_STAGE]) {
      if (names.has(stage)) lines.push({ kind: "stage", netns, stage, name: stage });
    }
  }
  lines.push({ kind: "backend", netns: null, stage: null, name: details.server });
  return lines;
}
