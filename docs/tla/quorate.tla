------------------------------- MODULE quorate -------------------------------
(* The promises of quorate's core (`src/raft/`): elections with pre-vote,      *)
(* stickiness and vote leases; replication, with a difference between what a  *)
(* node has in memory and what is on its disk; the commit rule; transfers of  *)
(* the leadership; joint membership changes with a casting vote; reads by     *)
(* read index and by leader lease. README.md says how to run it, what TLC     *)
(* found, and what is left out.                                               *)
(*                                                                            *)
(* The network has no messages as such. What a message says stays true, and   *)
(* so it is kept as a fact in the state: which nodes asked for votes, which   *)
(* granted one, what a leader sent. A node may act on it at any time, more    *)
(* than once, or never. That is a network that delays, reorders, duplicates   *)
(* and loses messages.                                                        *)
EXTENDS Naturals, Sequences, FiniteSets, TLC

CONSTANTS
    Nodes,      \* the nodes that exist
    Nil,        \* no node, no membership
    Voters,     \* the first voters, with the holder of the casting vote or Nil
    Targets,    \* the voters that an operator may ask for; empty: no changes
    PreVote,    \* whether a node asks for pre-votes before it raises its term
    Sticky,     \* whether a node that hears a leader gives no vote
    Leases,     \* whether leaders ask for vote leases
    Transfers,  \* whether leaders transfer their leadership
    Resign,     \* whether a node gives up by itself: its leadership, or its candidacy
    MaxTerm, MaxLog, MaxRound,      \* the bounds of the model
    MaxCrashes                      \* crashes in one behaviour

VARIABLES
    (* A node's memory. *)
    hs,         \* hard state: the term, the vote in it, whether a vote lease was granted
    log,        \* entries: the term, and a membership or Nil
    role,       \* Follower, PreCandidate, Candidate, Leader, or Successor: a candidate because
                \* the leader transfers its leadership
    verified,   \* the last index up to which a follower's log equals its leader's
    commit,     \* the commit index
    hears,      \* whether a leader was heard lately (stickiness)
    prevotes,   \* the pre-votes of a pre-candidate
    durable,    \* the last index of `log` that is known to be on the disk
    (* A node's disk. *)
    disk,       \* the hard state and the log that a restart finds
    (* Facts that messages carry. *)
    requests,   \* RequestVote: term, candidate, end of its log, transfer or not
    grants,     \* RequestVoteReply: term, voter, candidate
    acked,      \* AppendEntriesReply: acked[t][n], the index that n acknowledged in term t
    answered,   \* HeartbeatReply: answered[t][n], the last round that n answered
    led,        \* what the leader of term t has sent: log, commit index, last round, and the
                \* nodes that it asked to take over (TimeoutNow); `by` has all its leaders
    (* Time. A round of heartbeats ends when a leader lease that counts from its start ends.   *)
    (* Clocks may differ within the bound, so a vote lease ends at any time after that.        *)
    promise,    \* promise[n][t]: the last round of term t for which n withholds its vote
    expired,    \* expired[t]: the last round of term t that has ended
    (* What the properties need, and no node knows. *)
    chosen,     \* the entries that some leader committed, each with the term of that leader
    stale,      \* reads that began on a leader without every committed entry: term and round
    crashes     \* the number of crashes

memory == <<hs, log, role, verified, commit, hears, prevotes, durable>>
time == <<promise, expired>>
ghosts == <<chosen, stale, crashes>>
facts == <<requests, grants, acked, answered>>
vars == <<memory, disk, facts, led, time, ghosts>>

Terms == 1..MaxTerm
Max(a, b) == IF a > b THEN a ELSE b
Min(a, b) == IF a < b THEN a ELSE b
TermAt(entries, i) == IF i \in 1..Len(entries) THEN entries[i].term ELSE 0
Last(entries) == TermAt(entries, Len(entries))
Term(n) == hs[n].term
Ordinary(t) == [term |-> t, members |-> Nil]

-------------------------------------------------------------------------------
(* Memberships. *)

NoVoters == [voters |-> {}, casting |-> Nil]
First == [incoming |-> Voters, outgoing |-> NoVoters]

(* More than half, or half with the casting vote (src/quorum/majority.rs). *)
IsMajority(v, some) ==
    LET count == Cardinality(v.voters \cap some)
    IN \/ 2 * count > Cardinality(v.voters)
       \/ 2 * count = Cardinality(v.voters) /\ v.casting \in some

(* A joint membership decides by a majority of each voter set. *)
IsQuorum(m, some) ==
    /\ IsMajority(m.incoming, some)
    /\ m.outgoing.voters = {} \/ IsMajority(m.outgoing, some)

(* The index of the last membership up to index i; 0 for the first one. A membership is in     *)
(* force from its append on, committed or not (src/log/memberships.rs).                        *)
MembershipIndex(entries, i) ==
    LET found == {j \in 1..i : entries[j].members # Nil}
    IN IF found = {} THEN 0 ELSE CHOOSE j \in found : \A k \in found : k <= j
MembershipAt(entries, i) ==
    LET j == MembershipIndex(entries, i) IN IF j = 0 THEN First ELSE entries[j].members
Active(n) == MembershipAt(log[n], Len(log[n]))

VotersOf(m) == m.incoming.voters \cup m.outgoing.voters
(* Ballot::is_electable in src/raft/election/ballot.rs *)
IsElectable(n) == n \in VotersOf(Active(n)) \cup VotersOf(MembershipAt(log[n], commit[n]))

-------------------------------------------------------------------------------
(* The rules, one name each. README.md lists what TLC finds without them. *)

(* A term, a vote and a vote lease are revealed once they are durable                          *)
(* (src/raft/journal/outbox.rs). An acknowledgement reveals only its term, but there is seldom  *)
(* another vote to write.                                                                      *)
MayReveal(state, stored) == state.term = stored.term /\ state.vote = stored.vote
MayRevealLease(state, stored) == MayReveal(state, stored) /\ state.lease = stored.lease
MayRevealTerm(state, stored) == MayReveal(state, stored)

(* A node acknowledges what matches its leader's log and is on its own disk                    *)
(* (send_accepted in src/raft/follower/mod.rs, and the outbox).                                *)
Acknowledged(matching, onDisk) == Min(matching, onDisk)

(* A leader counts its own disk like that of any follower (Leader::quorum_matched).            *)
OwnMatched(end, onDisk) == onDisk

(* An entry is committed by copies only in its own term (Leader::advance_commit; Raft 5.4.2).  *)
MayCommitByCopies(entry, t) == entry.term = t

(* The candidate's log is as up to date as the voter's (Ballot::log_reject_reason).            *)
IsUpToDate(lastTerm, lastIndex, entries) ==
    \/ lastTerm > Last(entries)
    \/ lastTerm = Last(entries) /\ lastIndex >= Len(entries)

(* A node votes once in a term (Ballot::vote_reject_reason).                                   *)
HasNoOtherVote(vote, candidate) == vote \in {Nil, candidate}

(* A vote lease has not ended (Ballot::withholds_vote). *)
IsWithheld(n) == \E t \in Terms : promise[n][t] > expired[t]

(* The promises that a node keeps after a restart: all of them if the length of its vote lease *)
(* is stored, because it counts from the restart (Ballot::new).                                *)
KeptPromise(stored, made) == IF stored THEN made ELSE [t \in Terms |-> 0]

(* Whether the vote lease of a node is stored: of a candidate, which stores one if it may grant *)
(* read leases (Candidate::new), and of a node that answers a heartbeat                        *)
(* (Ballot::request_vote_lease).                                                               *)
CandidateLease(n) == hs[n].lease
AnswererLease(n) == Leases

(* A leader that asked another node to take over has no lease (LeaderLease::active).           *)
HasLeaseIn(t) == led[t].handover = {}

(* A read waits for a round that begins after it (Leader::queue_read). *)
RoundOfRead(t) == led[t].round + 1

(* A membership change takes its next step when the last one is committed                      *)
(* (change::may_append_step in src/raft/leader/change.rs).                                     *)
LastChangeIsCommitted(n) == MembershipIndex(log[n], Len(log[n])) <= commit[n]

IsCandidate(n) == role[n] \in {"Candidate", "Successor"}
HearsLeader(n) == Sticky /\ (role[n] = "Leader" \/ hears[n])
HasCommittedInTerm(n) == Term(n) > 0 /\ TermAt(log[n], commit[n]) = Term(n)

-------------------------------------------------------------------------------
(* The outbox, at the end of every action of node n: what n has to say leaves once its hard    *)
(* state is durable (src/raft/journal/outbox.rs). Entries and heartbeats of a leader do not    *)
(* wait for its disk: they are in `led` at once.                                               *)
Leave(n) ==
    LET t == hs'[n].term
        matched == IF role'[n] = "Leader"
                   THEN OwnMatched(Len(log'[n]), durable'[n])
                   ELSE Acknowledged(verified'[n], durable'[n])
        request == [term |-> t, from |-> n, transfer |-> role'[n] = "Successor",
                    lastTerm |-> Last(log'[n]), lastIndex |-> Len(log'[n])]
        vote == [term |-> t, voter |-> n, for |-> hs'[n].vote]
        shows(Rule(_, _)) == t > 0 /\ Rule(hs'[n], disk'[n].hs)
    IN /\ requests' = IF shows(MayReveal) /\ role'[n] \in {"Candidate", "Successor"}
                      THEN requests \cup {request} ELSE requests
       /\ grants' = IF shows(MayReveal) /\ hs'[n].vote # Nil THEN grants \cup {vote} ELSE grants
       /\ acked' = IF shows(MayRevealTerm) THEN [acked EXCEPT ![t][n] = Max(@, matched)] ELSE acked
       /\ answered' = IF shows(MayRevealLease)
                      THEN [answered EXCEPT ![t][n] = Max(@, promise'[n][t])] ELSE answered

(* Node n enters term t, in which it has not voted (Ballot::enter_term), or stays in it. It    *)
(* follows from now on (Raft::become_follower in src/raft/mod.rs).                             *)
Follow(n, t, state) ==
    /\ hs' = [hs EXCEPT ![n] = state]
    /\ role' = [role EXCEPT ![n] = "Follower"]
    /\ prevotes' = [prevotes EXCEPT ![n] = {}]
InTerm(n, t) == IF t > Term(n) THEN [hs[n] EXCEPT !.term = t, !.vote = Nil] ELSE hs[n]

(* The disk has written everything that was handed to it (Raft::on_persisted). Writes that end *)
(* one after the other need no action of their own: an earlier one may always end earlier.     *)
Persist(n) ==
    /\ disk[n] # [hs |-> hs[n], log |-> log[n]]
    /\ disk' = [disk EXCEPT ![n] = [hs |-> hs[n], log |-> log[n]]]
    /\ durable' = [durable EXCEPT ![n] = Len(log[n])]
    /\ UNCHANGED <<hs, log, role, verified, commit, hears, prevotes, led, time, ghosts>>
    /\ Leave(n)

(* The node stops and starts again with what its disk has (Raft::new, Ballot::new). *)
Crash(n) ==
    /\ crashes < MaxCrashes
    /\ crashes' = crashes + 1
    /\ hs' = [hs EXCEPT ![n] = disk[n].hs]
    /\ log' = [log EXCEPT ![n] = disk[n].log]
    /\ durable' = [durable EXCEPT ![n] = Len(disk[n].log)]
    /\ role' = [role EXCEPT ![n] = "Follower"]
    /\ verified' = [verified EXCEPT ![n] = 0]
    /\ commit' = [commit EXCEPT ![n] = 0]
    /\ hears' = [hears EXCEPT ![n] = FALSE]
    /\ prevotes' = [prevotes EXCEPT ![n] = {}]
    /\ promise' = [promise EXCEPT ![n] = KeptPromise(disk[n].hs.lease, @)]
    /\ UNCHANGED <<disk, led, facts, expired, chosen, stale>>

-------------------------------------------------------------------------------
(* Elections: src/raft/election/mod.rs and ballot.rs. *)

(* Starts the election of the next term with the node's own vote (Candidate::new). *)
StartElection(n, newRole) ==
    /\ Term(n) < MaxTerm
    /\ hs' = [hs EXCEPT ![n] = [term |-> @.term + 1, vote |-> n, lease |-> CandidateLease(n)]]
    /\ role' = [role EXCEPT ![n] = newRole]
    /\ verified' = [verified EXCEPT ![n] = 0]
    /\ hears' = [hears EXCEPT ![n] = FALSE]
    /\ prevotes' = [prevotes EXCEPT ![n] = {}]
    /\ UNCHANGED <<log, commit, durable, disk, led, time, ghosts>>
    /\ Leave(n)

(* The election timeout (Follower::on_timeout, Candidate::on_timeout): asks for pre-votes      *)
(* where they are on, and starts the election at once where they are off. A candidate first    *)
(* waits until its own vote is durable, unless a user asks for the campaign (Raft::on_campaign). *)
(* A pre-candidate stays in its term, so its log still equals that of the term's leader up to   *)
(* the same index (Role::verified in src/raft/role.rs).                                        *)
WaitsForVote(n) == TRUE
Timeout(n) ==
    /\ role[n] # "Leader" /\ IsElectable(n) /\ ~IsWithheld(n)
    /\ IsCandidate(n) /\ WaitsForVote(n) => disk[n].hs = hs[n]
    /\ IF PreVote
       THEN /\ role[n] # "PreCandidate" /\ Term(n) < MaxTerm
            /\ role' = [role EXCEPT ![n] = "PreCandidate"]
            /\ hears' = [hears EXCEPT ![n] = FALSE]
            /\ prevotes' = [prevotes EXCEPT ![n] = {n}]
            /\ UNCHANGED <<hs, log, verified, commit, durable, disk, led, facts, time, ghosts>>
       ELSE StartElection(n, "Candidate")

(* Voter v would vote for n, says so, and changes nothing (election::on_pre_vote). *)
GrantPreVote(n, v) ==
    /\ role[n] = "PreCandidate" /\ v \notin prevotes[n]
    /\ Term(v) <= Term(n) /\ ~HearsLeader(v) /\ ~IsWithheld(v)
    /\ IsUpToDate(Last(log[n]), Len(log[n]), log[v])
    /\ prevotes' = [prevotes EXCEPT ![n] = @ \cup {v}]
    /\ UNCHANGED <<hs, log, role, verified, commit, hears, durable>>
    /\ UNCHANGED <<disk, led, facts, time, ghosts>>

(* A quorum of pre-votes (PreCandidate::transition). *)
WinPreVote(n) ==
    /\ role[n] = "PreCandidate" /\ IsQuorum(Active(n), prevotes[n])
    /\ StartElection(n, "Candidate")

(* A voter enters the candidate's term, unless it hears a leader or keeps a vote lease, and    *)
(* votes if the log allows it (Raft::on_message, election::on_request_vote). A transfer was    *)
(* asked for by the leader itself, so it overrides both.                                       *)
Vote(n, r) ==
    LET state == InTerm(n, r.term)
        agrees == HasNoOtherVote(state.vote, r.from)
                  /\ IsUpToDate(r.lastTerm, r.lastIndex, log[n])
    IN /\ r.from # n /\ r.term >= Term(n)
       /\ r.transfer \/ (~IsWithheld(n) /\ (r.term > Term(n) => ~HearsLeader(n)))
       /\ r.term > Term(n) \/ (agrees /\ state.vote # r.from)
       /\ IF r.term > Term(n)
          THEN Follow(n, r.term, IF agrees THEN [state EXCEPT !.vote = r.from] ELSE state)
          ELSE hs' = [hs EXCEPT ![n].vote = r.from] /\ UNCHANGED <<role, prevotes>>
       /\ hears' = [hears EXCEPT ![n] = FALSE]
       /\ verified' = [verified EXCEPT ![n] = IF r.term > Term(n) THEN 0 ELSE @]
       /\ UNCHANGED <<log, commit, durable, disk, led, time, ghosts>>
       /\ Leave(n)

(* A quorum of votes (Candidate::transition). The new leader appends an empty entry            *)
(* (Leader::new in src/raft/leader/mod.rs). Its own vote is in `grants` once it is durable.    *)
BecomeLeader(n) ==
    LET t == Term(n)
        entries == Append(log[n], Ordinary(t))
    IN /\ IsCandidate(n) /\ Len(log[n]) < MaxLog
       /\ IsQuorum(Active(n), {v \in Nodes : [term |-> t, voter |-> v, for |-> n] \in grants})
       /\ role' = [role EXCEPT ![n] = "Leader"]
       /\ log' = [log EXCEPT ![n] = entries]
       /\ led' = [led EXCEPT ![t].by = @ \cup {n}, ![t].log = entries, ![t].commit = commit[n]]
       /\ UNCHANGED <<hs, verified, commit, hears, prevotes, durable, disk, time, ghosts>>
       /\ Leave(n)

(* A node that waits for replies gets one of a later term (Raft::adopt_term). *)
SeeLaterTerm(n, from) ==
    /\ Resign /\ role[n] # "Follower" /\ disk[from].hs.term > Term(n)
    /\ Follow(n, disk[from].hs.term, InTerm(n, disk[from].hs.term))
    /\ verified' = [verified EXCEPT ![n] = 0]
    /\ UNCHANGED <<log, commit, hears, durable, disk, led, time, ghosts>>
    /\ Leave(n)

(* No leader was heard for the shortest election timeout (Follower::hears_leader). *)
ForgetLeader(n) ==
    /\ hears[n] /\ hears' = [hears EXCEPT ![n] = FALSE]
    /\ UNCHANGED <<hs, log, role, verified, commit, prevotes, durable>>
    /\ UNCHANGED <<disk, led, facts, time, ghosts>>

(* A leader lost contact with a quorum, or its disk is stuck (Leader::on_timeout). *)
StepDown(n) ==
    /\ Resign /\ role[n] = "Leader" /\ Follow(n, Term(n), hs[n])
    /\ UNCHANGED <<log, verified, commit, hears, durable, disk, led, facts, time, ghosts>>

-------------------------------------------------------------------------------
(* Replication: src/raft/leader/mod.rs, src/raft/leader/replication.rs,                        *)
(* src/raft/follower/mod.rs.                                                                   *)

(* The leader appends entries and sends them without waiting for its disk (Leader::append).    *)
AppendEntries(n, entries) ==
    /\ role[n] = "Leader" /\ Len(log[n]) < MaxLog
    /\ log' = [log EXCEPT ![n] = @ \o entries]
    /\ led' = [led EXCEPT ![Term(n)].log = log'[n]]
    /\ UNCHANGED <<hs, role, verified, commit, hears, prevotes, durable, disk, time, ghosts>>
    /\ Leave(n)
AppendEntry(n, entry) == AppendEntries(n, <<entry>>)

Propose(n) == AppendEntry(n, Ordinary(Term(n)))

(* Follower n takes AppendEntries of the leader of term t: the entries after prev up to last,   *)
(* of which it keeps those that it has (Follower::on_append_entries).                          *)
TakeEntries(n, t, prev, last) ==
    LET sent == led[t].log
        lacks(i) == Len(log[n]) < i \/ log[n][i].term # sent[i].term
        lacked == {i \in prev + 1..last : lacks(i)}
        kept == (CHOOSE i \in lacked : \A j \in lacked : i <= j) - 1
    IN /\ led[t].by # {} /\ n \notin led[t].by /\ t >= Term(n)
       /\ Len(log[n]) >= prev /\ TermAt(log[n], prev) = TermAt(sent, prev)
       /\ Follow(n, t, InTerm(n, t))
       /\ log' = IF lacked = {} THEN log
                 ELSE [log EXCEPT ![n] = SubSeq(@, 1, kept) \o SubSeq(sent, kept + 1, last)]
       /\ durable' = IF lacked = {} THEN durable ELSE [durable EXCEPT ![n] = Min(@, kept)]
       /\ verified' = [verified EXCEPT ![n] = IF t = Term(n) THEN Max(@, last) ELSE last]
       /\ hears' = [hears EXCEPT ![n] = Sticky]
       /\ UNCHANGED <<commit, disk, led, time, ghosts>>
       /\ Leave(n)

(* The commit index, which comes with entries and heartbeats, counts as far as the log is      *)
(* known to equal the leader's (Follower::learn_committed).                                    *)
LearnCommit(n, i) ==
    /\ Term(n) > 0 /\ role[n] = "Follower"
    /\ i > commit[n] /\ i <= Min(led[Term(n)].commit, verified[n])
    /\ commit' = [commit EXCEPT ![n] = i]
    /\ UNCHANGED <<hs, log, role, verified, hears, prevotes, durable>>
    /\ UNCHANGED <<disk, led, facts, time, ghosts>>

(* The leader commits what a quorum has on its disks (Leader::advance_commit). *)
AdvanceCommit(n, i) ==
    LET t == Term(n)
        begin == Len(chosen)
        fresh == [j \in 1..(i - begin) |-> [entry |-> log[n][begin + j], term |-> t]]
    IN /\ role[n] = "Leader" /\ i > commit[n] /\ MayCommitByCopies(log[n][i], t)
       /\ IsQuorum(Active(n), {v \in Nodes : acked[t][v] >= i})
       /\ commit' = [commit EXCEPT ![n] = i]
       /\ led' = [led EXCEPT ![t].commit = i]
       /\ chosen' = IF i <= begin THEN chosen ELSE chosen \o fresh
       /\ UNCHANGED <<hs, log, role, verified, hears, prevotes, durable>>
       /\ UNCHANGED <<disk, facts, time, stale, crashes>>

-------------------------------------------------------------------------------
(* Transfers of the leadership: src/raft/leader/transfer.rs. *)

(* Asks a voter with the whole log to take over (Transfers::advance). *)
AskToTakeOver(n, to) ==
    LET t == Term(n)
    IN /\ Transfers /\ role[n] = "Leader" /\ to # n
       /\ to \in Active(n).incoming.voters /\ acked[t][to] = Len(log[n])
       /\ led' = [led EXCEPT ![t].handover = @ \cup {to}]
       /\ UNCHANGED <<memory, disk, facts, time, ghosts>>

(* The voter campaigns at once, also during its vote lease (Follower::on_timeout_now). *)
TakeOver(n) ==
    /\ Term(n) > 0 /\ n \in led[Term(n)].handover
    /\ role[n] = "Follower" /\ IsElectable(n)
    /\ StartElection(n, "Successor")

-------------------------------------------------------------------------------
(* Membership changes: src/raft/leader/change.rs. A learner has no vote, so the staged step,   *)
(* in which new voters catch up, changes no rule and is left out.                              *)

(* The change becomes joint (Membership::enter_joint). *)
EnterJoint(n, target) ==
    /\ role[n] = "Leader" /\ HasCommittedInTerm(n) /\ LastChangeIsCommitted(n)
    /\ Active(n).outgoing.voters = {} /\ Active(n).incoming # target
    /\ AppendEntry(n, [term |-> Term(n), members |-> [incoming |-> target,
                                                    outgoing |-> Active(n).incoming]])

(* Both voter sets have agreed: the incoming voters decide alone (Membership::leave_joint). *)
LeaveJoint(n) ==
    /\ role[n] = "Leader" /\ HasCommittedInTerm(n) /\ LastChangeIsCommitted(n)
    /\ Active(n).outgoing.voters # {}
    /\ AppendEntry(n, [term |-> Term(n), members |-> [Active(n) EXCEPT !.outgoing = NoVoters]])

-------------------------------------------------------------------------------
(* Reads: src/raft/leader/reads.rs and lease.rs. *)

(* The leader begins a round of heartbeats (Leader::send_heartbeats). *)
BeginRound(n) ==
    /\ role[n] = "Leader" /\ led[Term(n)].round < MaxRound
    /\ led' = [led EXCEPT ![Term(n)].round = @ + 1]
    /\ UNCHANGED <<memory, disk, facts, time, ghosts>>

(* A node answers round k of term t (Follower::on_heartbeat). Where leases are on, it          *)
(* withholds its vote from now on; the reply waits until the length of the lease is durable.   *)
(* `promise` also remembers the round for the reply, so without leases it has ended already.   *)
TakeHeartbeat(n, t, k) ==
    /\ led[t].by # {} /\ n \notin led[t].by /\ t >= Term(n) /\ k > promise[n][t]
    /\ Follow(n, t, [InTerm(n, t) EXCEPT !.lease = AnswererLease(n)])
    /\ promise' = [promise EXCEPT ![n][t] = k]
    /\ hears' = [hears EXCEPT ![n] = Sticky]
    /\ verified' = [verified EXCEPT ![n] = IF t > Term(n) THEN 0 ELSE @]
    /\ UNCHANGED <<log, commit, durable, disk, led, expired, ghosts>>
    /\ Leave(n)

(* Time passes: the leases that count from the next round of term t end. *)
EndRound(t) ==
    /\ Leases /\ expired[t] < led[t].round
    /\ expired' = [expired EXCEPT ![t] = @ + 1]
    /\ UNCHANGED <<memory, disk, facts, led, promise, ghosts>>

(* A read by read index begins (Leader::on_read). A read that begins on a leader with every    *)
(* committed entry returns enough whenever it is answered, so only the others are kept.        *)
BeginRead(n) ==
    /\ role[n] = "Leader" /\ HasCommittedInTerm(n) /\ commit[n] < Len(chosen)
    /\ stale' = stale \cup {[term |-> Term(n), round |-> RoundOfRead(Term(n))]}
    /\ UNCHANGED <<memory, disk, facts, led, time, chosen, crashes>>

(* A quorum has answered round k (Leader::confirmed_round). *)
IsConfirmed(n, k) ==
    /\ k <= led[Term(n)].round
    /\ IsQuorum(Active(n), {n} \cup {v \in Nodes : answered[Term(n)][v] >= k})

(* The leader may answer from its state at once (LeaderLease::freshness). *)
HasLease(n) ==
    /\ Leases /\ role[n] = "Leader" /\ HasCommittedInTerm(n) /\ HasLeaseIn(Term(n))
    /\ \E k \in expired[Term(n)] + 1..led[Term(n)].round : IsConfirmed(n, k)

-------------------------------------------------------------------------------
NoLeader == [by |-> {}, log |-> <<>>, commit |-> 0, round |-> 0, handover |-> {}]
Fresh == [term |-> 0, vote |-> Nil, lease |-> FALSE]

Init ==
    /\ hs = [n \in Nodes |-> Fresh]
    /\ log = [n \in Nodes |-> <<>>]
    /\ role = [n \in Nodes |-> "Follower"]
    /\ verified = [n \in Nodes |-> 0]
    /\ commit = [n \in Nodes |-> 0]
    /\ hears = [n \in Nodes |-> FALSE]
    /\ prevotes = [n \in Nodes |-> {}]
    /\ durable = [n \in Nodes |-> 0]
    /\ disk = [n \in Nodes |-> [hs |-> Fresh, log |-> <<>>]]
    /\ requests = {} /\ grants = {}
    /\ acked = [t \in Terms |-> [n \in Nodes |-> 0]]
    /\ answered = [t \in Terms |-> [n \in Nodes |-> 0]]
    /\ led = [t \in Terms |-> NoLeader]
    /\ promise = [n \in Nodes |-> [t \in Terms |-> 0]]
    /\ expired = [t \in Terms |-> IF Leases THEN 0 ELSE MaxRound]
    /\ chosen = <<>> /\ stale = {} /\ crashes = 0

Next ==
    \/ \E n \in Nodes :
        \/ Persist(n) \/ Crash(n) \/ Timeout(n) \/ WinPreVote(n) \/ BecomeLeader(n)
        \/ ForgetLeader(n) \/ StepDown(n) \/ Propose(n) \/ TakeOver(n) \/ LeaveJoint(n)
        \/ BeginRound(n) \/ BeginRead(n)
        \/ \E m \in Nodes : GrantPreVote(n, m) \/ SeeLaterTerm(n, m) \/ AskToTakeOver(n, m)
        \/ \E r \in requests : Vote(n, r)
        \/ \E i \in 1..Len(log[n]) : AdvanceCommit(n, i) \/ LearnCommit(n, i)
        \/ \E target \in Targets : EnterJoint(n, target)
        \/ \E t \in Terms :
            \/ \E k \in 1..led[t].round : TakeHeartbeat(n, t, k)
            \/ \E prev \in 0..Len(led[t].log) :
                \/ TakeEntries(n, t, prev, prev)
                \/ prev < Len(led[t].log) /\ TakeEntries(n, t, prev, prev + 1)
    \/ \E t \in Terms : EndRound(t)

Spec == Init /\ [][Next]_vars

-------------------------------------------------------------------------------
(* The properties. *)

(* At most one leader in a term (Raft 5.2). *)
ElectionSafety == \A t \in Terms : Cardinality(led[t].by) <= 1

(* Logs that agree on an entry agree on all before it (Raft 5.3). *)
Agree(one, other) ==
    \A i \in 1..Min(Len(one), Len(other)) :
        one[i].term = other[i].term => SubSeq(one, 1, i) = SubSeq(other, 1, i)
LogMatching ==
    \A n, m \in Nodes : Agree(log[n], log[m]) /\ Agree(log[n], disk[m].log)

(* A leader has what was committed in its term or before (Raft 5.4.3). *)
LeaderCompleteness ==
    \A n \in Nodes, i \in 1..Len(chosen) :
        role[n] = "Leader" /\ Term(n) >= chosen[i].term =>
            Len(log[n]) >= i /\ log[n][i] = chosen[i].entry

(* No two nodes apply different entries at one index (Raft 5.4.3). *)
StateMachineSafety ==
    \A n \in Nodes : /\ commit[n] <= Min(Len(chosen), Len(log[n]))
                     /\ \A i \in 1..commit[n] : log[n][i] = chosen[i].entry

(* A read that lacks an entry committed before it began is never answered (thesis 6.4).        *)
ReadSafety ==
    \A n \in Nodes, read \in stale :
        ~(role[n] = "Leader" /\ Term(n) = read.term /\ IsConfirmed(n, read.round))

(* While a leader has its lease, no other node leads in a later term (thesis 6.4.1), so that   *)
(* its own state has every committed entry.                                                    *)
LeaseSafety ==
    \A n, m \in Nodes : HasLease(n) /\ role[m] = "Leader" => Term(m) <= Term(n)
LeaseReadSafety == \A n \in Nodes : HasLease(n) => commit[n] >= Len(chosen)

(* What the core asserts of itself (Ballot::assert_invariants and others). *)
Sanity ==
    \A n \in Nodes :
        /\ Last(log[n]) <= Term(n) /\ durable[n] <= Len(log[n])
        /\ SubSeq(log[n], 1, durable[n]) = SubSeq(disk[n].log, 1, durable[n])
        /\ role[n] = "Leader" => hs[n].vote = n /\ Last(log[n]) = Term(n)

Symmetry == Permutations(Nodes)
===============================================================================
