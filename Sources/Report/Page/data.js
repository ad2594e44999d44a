// Reads what the page carries: packed JSON in base64, in script elements of a type that is data to a browser. What
// stands at which place is decided in ConnectionRecord.swift.

async function unpacked(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** The rows of the list, in the order of time. */
async function readRows() {
  const { base, blocks } = await unpacked("index");
  const rows = [];
  for (const [block, strings, list] of blocks) {
    for (const [index, start, duration, id, ...rest] of list) {
      const flags = rest.pop();
      const [code, outcome, client, dialled, translated, words, sentence] = rest.map((place) => strings[place]);
      rows.push({
        block, index, duration, id, start: base + start, code, outcome, client, dialled, translated, words, sentence,
        isRevised: (flags & 1) !== 0, isIncomplete: (flags & 2) !== 0,
      });
    }
  }
  return rows.sort((a, b) => a.start - b.start);
}

/** Blocks of details that were unpacked lately. */
const recentBlocks = new Map();
const MAXIMUM_RECENT_BLOCKS = 8;

function block(number) {
  let found = recentBlocks.get(number);
  if (!found) {
    if (recentBlocks.size >= MAXIMUM_RECENT_BLOCKS) recentBlocks.delete(recentBlocks.keys().next().value);
    found = unpacked("block-" + number);
    recentBlocks.set(number, found);
  }
  return found;
}

const STEP_WORDS = ["action", "stage", "what", "tone", "remark", "role", "source", "destination", "numbers", "netns",
  "device", "function", "backend", "reason"];

/** All that is told of a connection. */
async function readDetails(number, index) {
  const [strings, connections] = await block(number);
  const told = connections[index];
  const text = (place) => strings[place];
  const details = { ...told };
  for (const name of ["sentence", "code", "outcome", "where", "rule", "checked", "community", "client", "server"]) {
    details[name] = text(told[name]);
  }
  details.evidence = told.evidence.map(text);
  details.advice = told.advice.map(([before, command, after, isPlain]) => ({
    before: text(before), command: text(command), after: text(after), isPlain: isPlain === 1,
  }));
  details.steps = told.steps.map(([offset, flags, ...words]) => {
    const step = { offset, isConcluded: (flags & 1) !== 0, isAnswer: (flags & 2) !== 0 };
    STEP_WORDS.forEach((name, place) => { step[name] = text(words[place]); });
    return step;
  });
  return details;
}
