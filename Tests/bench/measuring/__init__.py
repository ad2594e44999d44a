"""What `make bench` measures, and how: everything that a tracer costs, beside untraced runs and other tracers.

Which file does what:
  figures.py     medians, intervals, ratios of pairs      targets.py    what is aimed for, and whether it was met
  machine.py     what is measured on, namespaces          processes.py  processor time, memory, programs of a process
  load.py        runs ../load.c and ../flood.c            observers.py  nattrace and its peers, from start to stop
  traffic.py     what traffic pays, traced and untraced   programs.py   nanoseconds of each BPF program
  pipeline.py    from observation to line                 recordings.py a big recording made of a small one
  flood.py       SYNs from nowhere, for a minute          tables.py     results as text and as a document
  commandline.py the options of `run`                  forms.py      how long and how often
"""
