"""Full queues of a listener, and what TCP refuses after it has found the socket."""

import signal

from harness import sockets, ways
from harness.expect import ByHooks, Verdict, sysctl_evidence
from harness.scenario import IN_TURN, scenario
from scenarios.published_port import published

# The address of clients that no answer reaches, in the client's network.
GHOST = {4: "10.77.0.77", 6: "fd77::77"}
# The program takes silence for an answer after this time; the clients are more patient.
PATIENCE = 4


def queue_evidence(listener, length):
    return {"kind": "listener", "port": listener.port, "process.pid": listener.pid,
            "accept_queue.length": length, "accept_queue.limit": listener.backlog}


def full(s, backlog, **options):
    """Published, with a listener that accepts nothing and has its queue full. A limit of n leaves room for n + 1."""
    net, dialled, translated = published(s)
    app = s.listen(net.server_ns, net.inner, backlog=backlog, accept=False, **options)
    s.fill_accept_queue(net.client_ns, app)
    s.trace("--unanswered-after", "2s")
    return net, app, translated


@scenario(variants={"no-backlog": 0, "backlog": 3}, vm=("backlog",))
def accept_queue_is_full(s):
    """The SYN is dropped without a word, and is no drop to the kernel's drop tracepoint either."""
    net, app, translated = full(s, s.variant)
    s.connect(net.client_ns, net.public, sees="timeout", patience=PATIENCE, verdict=Verdict(
        "accept_queue_full", nat=translated, listener=app, netns=net.server_ns, reason=("app-inner",),
        evidence=(queue_evidence(app, s.variant + 1),), checklist={"answer": "none"},
        steps=ByHooks(functions=("syn", "nat.dnat"), tracepoints=("syn",)),
        no_steps=("reset", "synack", "established")))


@scenario()
def accept_queue_is_full_over_loopback(s):
    """Client and server on one host, without any rule."""
    net = s.host()
    app = s.listen(net.host_ns, net.loopback, backlog=1, accept=False)
    s.fill_accept_queue(net.host_ns, app)
    s.trace("--dport", s.app_port, "--unanswered-after", "2s")
    s.connect(net.host_ns, net.loopback, s.app_port, sees="timeout", patience=PATIENCE, verdict=Verdict(
        "accept_queue_full", nat=False, listener=app, netns=net.host_ns, evidence=(queue_evidence(app, 2),)))


@scenario(vm=IN_TURN)
def accept_queue_drained_while_the_client_waits(s):
    """The process begins to accept; a SYN that comes again gets through."""
    net, app, translated = full(s, 1, accept_on=signal.SIGUSR1)
    s.once_told()
    s.meanwhile("let the process accept", lambda: app.send(signal.SIGUSR1))
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner", patience=16, verdict=[
        Verdict("accept_queue_full", nat=translated, evidence=({"kind": "listener", "process.pid": app.pid},)),
        Verdict("established", nat=translated, revised=True)])


def half_open(s, backlog, number, settings):
    """Published, with a listener whose queue of SYNs is full of clients that no answer reaches."""
    net, _, translated = published(s)
    s.sysctl(net.server_ns, {"net.ipv4.tcp_syncookies": 0, "net.ipv4.tcp_synack_retries": 20, **settings})
    s.spaces.ip(net.client_ns, f"address add {GHOST[s.family]}{net.host} dev eth0",
                f"neigh add {net.server} lladdr {s.mac(net.server_ns, 'eth0')} dev eth0")  # it would ask as the ghost
    s.spaces.ip(net.server_ns, f"neigh add {GHOST[s.family]} lladdr 02:00:00:00:00:01 dev eth0")
    app = s.listen(net.server_ns, net.inner, backlog=backlog)
    s.fill_syn_queue(net.client_ns, app, GHOST[s.family], number)
    s.trace("--unanswered-after", "2s")
    return net, app, translated


# Name: backlog, how many half open, further settings, and the setting that is evidence.
SYN_QUEUES = {"of-the-socket": (1, 4, {}, ("net.ipv4.tcp_syncookies", "0")),
              "of-the-machine": (64, 6, {"net.ipv4.tcp_max_syn_backlog": 4}, ("net.ipv4.tcp_max_syn_backlog", "4"))}


@scenario(variants=SYN_QUEUES, vm=("of-the-socket",))
def syn_queue_is_full(s):
    """Half-open requests fill it and SYN cookies are off. The queue of connections is empty.

    Without a hook at the look-up the length of this queue is not known, and the SYN is swallowed without a drop.
    """
    def by_lookup(functions, tracepoints):
        return ByHooks(functions, tracepoints, needs=ways.LOOKUPS)

    backlog, number, settings, (name, value) = s.variant
    net, app, translated = half_open(s, backlog, number, settings)
    s.connect(net.client_ns, net.public, source=net.client, sees="timeout", patience=PATIENCE, verdict=Verdict(
        by_lookup("accept_queue_full", "unexplained"), nat=translated, netns=net.server_ns,
        evidence=by_lookup((queue_evidence(app, 0), sysctl_evidence(name, value)), ())))


@scenario()
def near_miss_syn_cookies(s):
    """The same queue, with cookies: the client gets through."""
    net, app, translated = half_open(s, 1, 4, {"net.ipv4.tcp_syncookies": 1})
    s.connect(net.client_ns, net.public, source=net.client, sees="connected", answered_by="app-inner",
              verdict=Verdict("established", nat=translated))


def overtaken(s, abort):
    """The queue has room when the SYN comes and none when the last ACK does: the client hears no SYN-ACK at first,
    meanwhile others take the places, and then its ACK, on a repeated SYN-ACK, finds the queue full."""
    net, dialled, translated = published(s)
    s.sysctl(net.server_ns, {"net.ipv4.tcp_abort_on_overflow": abort})
    app = s.listen(net.server_ns, net.inner, backlog=1, accept=False)
    deaf = s.rules.drop(net.client_ns, dialled, hook="prerouting", table="raw", answers=True)
    s.trace("--unanswered-after", "4s")
    s.once_told()
    s.meanwhile("let others take the places", lambda: s.fill_accept_queue(net.client_ns, app))
    s.meanwhile("let the client hear", deaf.remove)
    return net, app, translated, deaf


@scenario(vm=IN_TURN)
def accept_queue_full_at_the_last_ack(s):
    """Reset by tcp_abort_on_overflow. The client is connected, for a moment."""
    net, app, translated, deaf = overtaken(s, 1)
    s.connect(net.client_ns, net.public, sees=("reset", "refused"), patience=8, verdict=[
        Verdict("filter_dropped", nat=translated, rule=deaf, netns=net.client_ns),
        Verdict("accept_queue_full", nat=translated, revised=True, listener=app, netns=net.server_ns, steps=(
            "syn", "synack", "ack", "reset"), checklist={"answer": "rst"}, evidence=(
                queue_evidence(app, 2),
                sysctl_evidence("net.ipv4.tcp_abort_on_overflow", 1)))])


@scenario()
def last_ack_left_out(s):
    """The same without the setting: the server forgets the ACK. The client takes itself for connected; it is not."""
    net, app, translated, deaf = overtaken(s, 0)
    s.connect(net.client_ns, net.public, sees="connected", patience=8, verdict=[
        Verdict("filter_dropped", nat=translated, rule=deaf, netns=net.client_ns),
        Verdict("accept_queue_full", nat=translated, revised=True, listener=app, netns=net.server_ns,
                evidence=(queue_evidence(app, 2),))])


@scenario()
def near_miss_another_queue_is_full(s):
    """Full is the queue of a listener on another address; on the right one nobody listens."""
    net, dialled, translated = published(s)
    other = s.listen(net.server_ns, net.other, backlog=0, accept=False, name="app-other")
    s.fill_accept_queue(net.client_ns, other)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=other))


@scenario()
def near_miss_the_right_queue_has_room(s):
    net, dialled, translated = published(s)
    other = s.listen(net.server_ns, net.other, backlog=0, accept=False, name="app-other")
    s.fill_accept_queue(net.client_ns, other)
    s.listen(net.server_ns, net.inner)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner",
              verdict=Verdict("established", nat=translated))


@scenario()
def near_miss_a_rule_drops_before_the_full_queue(s):
    """The queue is full, but the SYN does not get that far."""
    net, app, translated = full(s, 1)
    rule = s.rules.drop(net.server_ns, translated)
    s.connect(net.client_ns, net.public, sees="timeout", patience=PATIENCE, verdict=Verdict(
        "filter_dropped", nat=translated, rule=rule, netns=net.server_ns))


# What TCP refuses on its own account. Before 6.10 a hop limit too low had no reason of its own.
def refusing(s, prepare, reason):
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.inner, prepare=lambda server: prepare(server, net))
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "socket_refused", nat=translated, listener=app, netns=net.server_ns, checklist={"answer": "none"},
        fields={"nattrace.stage": "socket", "nattrace.reason": reason},
        steps=ByHooks(functions=("syn", "nat.dnat", "drop"), tracepoints=("syn", "drop")), no_steps=("reset",)))


@scenario(vm=IN_TURN)
def socket_filter_refuses(s):
    refusing(s, lambda server, net: sockets.refuse_all(server), "SOCKET_FILTER")


@scenario(vm=IN_TURN)
def hop_limit_refuses(s):
    """IP_MINTTL, IPV6_MINHOPCOUNT."""
    refusing(s, lambda server, net: sockets.accept_near_only(server), frozenset({"TCP_MINTTL", "NOT_SPECIFIED"}))


@scenario(needs=("tcp-md5",), vm=IN_TURN)
def missing_signature_refuses(s):
    """TCP MD5 is asked of this client, which has no key."""
    refusing(s, lambda server, net: sockets.demand_md5(server, net.client), "TCP_MD5NOTFOUND")


@scenario(needs=("tcp-md5",))
def near_miss_signature_of_another_client(s):
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner, prepare=lambda server: sockets.demand_md5(server, GHOST[s.family]))
    s.connect(net.client_ns, net.public, sees="connected", verdict=Verdict("established", nat=translated))


@scenario()
def near_miss_far_enough(s):
    """The same demand, and a client that sends with the highest hop limit."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner, prepare=sockets.accept_near_only)
    s.connect(net.client_ns, net.public, hop_limit=255, sees="connected", verdict=Verdict(
        "established", nat=translated))


@scenario()
def near_miss_filter_of_another_socket(s):
    """A listener that filters everything, on another address; on the right one nobody listens."""
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.other, prepare=sockets.refuse_all)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app))
