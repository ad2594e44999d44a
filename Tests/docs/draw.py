"""Draws the pictures of docs/picture.md: the way through the kernel, and the house.

What stands in them is data below; checks.py compares it with the program. `Tests/docs/run --update` writes the files.
They have a ground of their own, light or dark as the reader's system is, so they can be read on any page.
"""

from xml.sax.saxutils import escape

STYLE = """
    svg { font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px }
    .ground { fill: #fbfbfa; stroke: #d8d8d4 }
    .box { fill: #ffffff; stroke: #8a8f98; stroke-width: 1.2 }
    .kernel { fill: #eef3fa }
    text { fill: #24292f }
    .title, .stage, .module { font-weight: 600; font-size: 15px }
    .small { fill: #57606a; font-size: 12px }
    .hook, .verdict { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 11.5px }
    .hook { fill: #0b57a4 }
    .verdict { fill: #b3261e; font-weight: 600 }
    .good { fill: #1a7f37 }
    .observes { fill: #0b57a4 }
    .strikes { fill: #b3261e; font-weight: 600 }
    .line { fill: none; stroke: #57606a; stroke-width: 1.6 }
    .dashed { stroke-dasharray: 5 4 }
    .head { fill: #57606a }
    @media (prefers-color-scheme: dark) {
      .ground { fill: #0d1117; stroke: #30363d }
      .box { fill: #161b22; stroke: #6e7681 }
      .kernel { fill: #13233a }
      text { fill: #e6edf3 }
      .small { fill: #9da7b3 }
      .hook { fill: #79b8ff }
      .verdict { fill: #ff8f87 }
      .good { fill: #56d364 }
      .observes { fill: #79b8ff }
      .strikes { fill: #ff8f87 }
      .line { stroke: #9da7b3 }
      .head { fill: #9da7b3 }
    }
    @media print { .ground { fill: none; stroke: none } }
"""

LINE = 16


class Picture:
    def __init__(self, width, height, title, description):
        self.parts = [f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"\
 aria-labelledby="title desc">
  <title id="title">{escape(title)}</title>
  <desc id="desc">{escape(description)}</desc>
  <style>{STYLE}  </style>
  <defs>
    <marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
      <path class="head" d="M0 0 10 5 0 10z"/>
    </marker>
  </defs>
  <rect class="ground" x="1" y="1" width="{width - 2}" height="{height - 2}" rx="10"/>"""]

    def box(self, x, y, width, height, kinds="box"):
        self.parts.append(f'  <rect class="{kinds}" x="{x}" y="{y}" width="{width}" height="{height}" rx="7"/>')

    def text(self, x, y, words, kinds="", anchor=None):
        attributes = (f' class="{kinds}"' if kinds else "") + (f' text-anchor="{anchor}"' if anchor else "")
        self.parts.append(f'  <text x="{x}" y="{y}"{attributes}>{escape(words)}</text>')

    def sentence(self, x, y, *pieces):
        """Words of several kinds on one line: a word, or a word and its kind."""
        spans = "".join(f'<tspan class="{piece[1]}">{escape(piece[0])}</tspan>' if isinstance(piece, tuple) else
                        f'<tspan class="small">{escape(piece)}</tspan>' for piece in pieces)
        self.parts.append(f'  <text x="{x}" y="{y}" xml:space="preserve">{spans}</text>')

    def column(self, x, y, words, kinds):
        for number, word in enumerate(words):
            good = " good" if word == "established" else ""
            self.text(x, y + number * LINE, word, kinds + good)

    def arrow(self, path, kinds=""):
        self.parts.append(f'  <path class="line{" " + kinds if kinds else ""}" marker-end="url(#arrow)" d="{path}"/>')

    def __str__(self):
        return "\n".join([*self.parts, "</svg>", ""])


def stage(picture, x, y, width, height, name, says, hooks=(), verdicts=(), at=0):
    """A stage with its hooks, and at `at` from its left the verdicts that strike there; 0: below the hooks."""
    picture.box(x, y, width, height)
    picture.text(x + 12, y + 22, name, "stage")
    picture.text(x + 12, y + 39, says, "small")
    picture.column(x + 12, y + 60, hooks, "hook")
    picture.column(x + (at or 12), y + 60 + (0 if at else LINE * len(hooks)), verdicts, "verdict")


def way():
    picture = Picture(
        1000, 846, "The way of a TCP handshake through the kernel, as nattrace sees it",
        "A packet comes in at ingress and goes to prerouting, where conntrack and DNAT act, and to routing. For this machine"
        " it goes on to input and to the socket, TCP; for another machine to forward. What a socket sends goes to output."
        " Forward and output lead to postrouting, where SNAT acts, and to egress. Each stage is listed with the hooks that"
        " observe it and the verdicts that are given there. The text below the picture has the same as a table.")
    picture.sentence(20, 32, ("The way through the kernel", "title"), "    each stage with ", ("what observes it", "small observes"),
                     " (IPv4, IPv6) and the ", ("verdicts that strike there", "small strikes"))

    # Inwards, from the left to the right.
    stage(picture, 20, 50, 240, 176, "ingress", "a packet comes in by a device", ["net:netif_receive_skb"],
          ["reset_by_backend", "icmp_unreachable"])
    picture.text(32, 160, "an RST or ICMP error that comes", "small")
    picture.text(32, 176, "in first was made elsewhere", "small")
    stage(picture, 300, 50, 390, 176, "prerouting", "conntrack looks at it, then NAT rules at a new one (DNAT)",
          ["nf_conntrack_in", "nf_conntrack_tcp_packet", "nf_ct_l4proto_log_invalid", "nf_l4proto_log_invalid",
           "nf_nat_setup_info", "nf_nat_manip_pkt", "__nft_trace_packet"],
          ["conntrack_full", "conntrack_invalid", "stale_conntrack", "untracked"], at=235)
    stage(picture, 730, 50, 250, 176, "routing", "where to: here, or on?", (),
          ["rp_filter", "route_localnet_disabled", "forwarding_disabled", "no_route"])
    picture.text(742, 196, "shown by the drop's function", "small")
    picture.text(742, 212, "and reason; see below", "small")

    # Here, or on.
    stage(picture, 300, 260, 390, 112, "forward", "for another machine; filter rules look at it",
          ["__nft_trace_packet", "nf_send_reset", "nf_send_reset6"], ["filter_dropped", "filter_rejected"], at=235)
    stage(picture, 730, 260, 250, 112, "input", "for this machine; the same",
          ["__nft_trace_packet"], ["filter_dropped", "filter_rejected"])

    # TCP, and outwards from the right to the left.
    stage(picture, 120, 410, 860, 206, "socket", "TCP of the network namespace that the packet has come to",
          ["tcp_v4_rcv", "tcp_v6_rcv", "__inet_lookup_listener", "inet6_lookup_listener",
           "inet_csk_reqsk_queue_hash_add", "tcp_check_req", "tcp_make_synack", "tcp_connect"],
          ["established", "no_listener", "listener_other_address", "listener_loopback_only", "listener_other_device",
           "listener_other_netns", "accept_queue_full", "socket_refused"], at=468)
    picture.column(362, 470, ["tcp_v4_send_reset", "tcp_v6_send_reset", "tcp_send_active_reset", "tcp:tcp_send_reset",
                              "tcp:tcp_retransmit_skb", "tcp:tcp_retransmit_synack", "sock:inet_sock_set_state"], "hook")
    picture.text(778, 454, "the client's TCP, where the", "small")
    picture.text(778, 470, "answer is not what it awaits:", "small")
    picture.column(778, 490, ["reset_by_client", "hairpin_without_snat", "asymmetric_reply"], "verdict")
    stage(picture, 730, 652, 250, 112, "output", "as prerouting, for what TCP sends",
          ["nf_conntrack_in", "nf_nat_manip_pkt", "__nft_trace_packet"], ["filter_dropped", "filter_rejected"], at=142)
    stage(picture, 390, 652, 300, 112, "postrouting", "NAT rules for the source (SNAT)",
          ["nf_nat_setup_info", "nf_nat_manip_pkt"], ["nat_exhausted"])
    stage(picture, 20, 652, 330, 112, "egress", "it leaves by a device", ["net:net_dev_start_xmit"],
          ["neighbor_unreachable", "syn_unanswered", "synack_unanswered"], at=185)

    picture.arrow("M260 138H300")
    picture.arrow("M690 138H730")
    picture.arrow("M880 226V260")
    picture.arrow("M780 226V243H710V316H690")
    picture.arrow("M855 372V410")
    picture.arrow("M855 616V652")
    picture.arrow("M730 708H690")
    picture.arrow("M390 708H350")
    picture.arrow("M300 316H70V634H540V652")

    picture.box(20, 784, 960, 46)
    picture.sentence(32, 812, ("anywhere", "title"), "   ", ("skb:kfree_skb", "hook"), " tells each drop: ", ("dropped", "verdict"),
                     ", where no other verdict explains it.  Not even that: ", ("unexplained", "verdict"))
    picture.text(968, 812, "module:module_load", "hook", "end")
    return str(picture)


def room(picture, x, y, width, height, name, *says, kinds="box"):
    picture.box(x, y, width, height, kinds)
    picture.text(x + 12, y + 23, name, "module")
    for number, line in enumerate(says):
        picture.text(x + 12, y + 42 + number * LINE, line, "small")


def house():
    picture = Picture(
        1000, 524, "The house: modules of nattrace, and how data goes through them",
        "In the kernel the programs of bpf write observations into a ring buffer. KernelTracer reads it, with libbpf through"
        " CLibBPF and CNattrace. Handshake puts observations in order, makes connections of them and gives verdicts. For a"
        " verdict it asks HostFacts, which reads rulesets with Rulesets. Output writes terminal, JSON lines and recordings,"
        " compressed through CZlib. Report makes a page of a recording, with what CReportPage embeds. A replay goes from a recording to Handshake, and answers its questions from it."
        " Examination makes the report of nattrace doctor. nattrace is the command line; Privileges gives up capabilities;"
        " SystemSupport has error texts and clocks. Metrics counts what Handshake tells, and answers Prometheus.")
    picture.sentence(20, 32, ("The house", "title"),
                     "    data goes one way; what is right of the ring is pure, but for the facts: a recording has both")

    room(picture, 20, 60, 200, 130, "bpf", "programs at the hooks:", "filter, follow the ISN,", "one struct for all:", "an observation",
         kinds="box kernel")
    picture.text(208, 82, "kernel", "small", "end")
    room(picture, 270, 60, 200, 130, "KernelTracer", "survey of the hooks, load,", "attach, read the ring,", "count what is lost")
    room(picture, 520, 60, 220, 130, "Handshake", "reorder, connection,", "timeline, verdict. Pure:", "the same live and in", "a replay")
    room(picture, 790, 60, 190, 130, "Output", "terminal, JSON lines,", "packets, recordings;", "waits for no reader")
    picture.arrow("M220 120H270")
    picture.text(245, 112, "ring", "small", "middle")
    picture.arrow("M470 120H520")
    picture.arrow("M740 120H790")

    room(picture, 520, 240, 220, 98, "HostFacts", "sockets, routes, settings,", "conntrack, processes, names:", "asked when a verdict needs it")
    picture.arrow("M610 190V240", "dashed")
    picture.text(602, 220, "question", "small", "end")
    picture.arrow("M650 240V190")
    picture.text(658, 220, "answer", "small")
    room(picture, 270, 240, 200, 98, "Rulesets", "which rules can have done", "this to that packet? Pure")
    picture.arrow("M520 289H470", "dashed")
    picture.arrow("M885 190V262H762V150H742", "dashed")
    picture.text(893, 238, "replay: the", "small")
    picture.text(893, 254, "recording", "small")
    picture.text(893, 270, "answers", "small")

    room(picture, 20, 240, 200, 98, "Examination", "what nattrace doctor says", "of what it found. Pure")
    picture.arrow("M330 190V215H120V240")

    room(picture, 790, 290, 190, 66, "Report", "a page of a recording")
    room(picture, 20, 454, 525, 50, "Metrics", "what is counted, for Prometheus, on a thread of its own")
    for x, width, name, says in ((20, 150, "nattrace", "the command line"), (185, 180, "Privileges", "gives up capabilities"),
                                 (380, 165, "SystemSupport", "error texts, clocks")):
        room(picture, x, 376, width, 66, name, says)
    picture.box(560, 376, 420, 66)
    for x, name in ((572, "CNattrace"), (668, "CReportPage"), (788, "CLibBPF"), (876, "CZlib")):
        picture.text(x, 399, name, "module")
    picture.text(572, 418, "header and embedded object, style and script, libbpf, zlib", "small")
    return str(picture)


PICTURES = {"way-through-the-kernel.svg": way, "house.svg": house}
