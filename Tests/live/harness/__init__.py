"""The live test framework: makes namespaces, rules and sockets, lets clients dial, runs nattrace on it, checks.

Which file does what:
  scenario.py    the register of all scenarios       vocabulary.py what a scenario can say
  topology.py    namespaces, links, addresses        children.py   processes inside namespaces
  rules.py       NAT and filter rules, per dialect   sockets.py    listeners        client.py  dials
  raw.py         SYNs made by hand                   far_host.py   a host that is not on this machine
  packets.py     packets as bytes                    conntrack.py  entries of a namespace's table
  program.py     runs nattrace and reads its lines   replay.py     the recording must tell the same
  invariants.py  what holds for every run            expect.py     what one scenario expects
  lines.py       reading JSON lines                  features.py   what this kernel can do
  abilities.py   what it tells a tracer               hole.py      where it tells less, as ../holes.py lists
  matrix.py      kernels by backends, for ../matrix
  ways.py        the steps of well-known handshakes  pace.py       how long to wait
  docker.py      a dockerd in a virtual machine          wireshark.py  what tshark reads in a file of packets
  advice.py      follows a verdict's advice
  runner.py      one scenario, from set-up to end    tracing.py    one run of the program over one or several
  commandline.py the options of `run`                leftovers.py  what a process holds in the BPF subsystem
"""
