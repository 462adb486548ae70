---------------------------- MODULE quorate_trace ----------------------------
(* Whether a trace of the core is a behaviour of quorate.tla. The module       *)
(* `trace_data`, which `cargo sim trace --tla` writes, has the lines of a      *)
(* trace in order. Each line names the one action that must explain it, with   *)
(* what the node shows afterwards: `line` walks on only if quorate.tla allows  *)
(* that action now, and it leads there. README.md says how to run it.          *)
(*                                                                            *)
(* Three things are finer here than in quorate.tla. A node has several writes  *)
(* under way, which end in order. A reply counts when it is received, so that  *)
(* a leader or a candidate knows less than what was sent. And a candidate that *)
(* steps down in its term may still send its vote request afterwards.          *)
EXTENDS quorate, trace_data

VARIABLES
    line,       \* the number of the next line of the trace
    writes,     \* writes[n]: writes that are not durable, each with its number, with what the
                \* disk holds after it, and up to where that is still what the node has in memory
    asked,      \* asked[n]: the vote request of the last campaign of n, sent or not
    left,       \* the vote requests that have left
    votes,      \* votes[n]: the voters whose votes candidate n has received
    pregrants,  \* pre-votes that were granted: term, voter, candidate
    known,      \* known[n][m]: what leader n knows to be on the disk of m
    rounds,     \* rounds[n][m]: the last round that leader n knows m to have answered
    confirmed,  \* confirmed[t]: the last round that a leader of term t knew to be confirmed
    reads       \* the reads that have begun, by name

received == <<votes, pregrants, known, rounds, confirmed, reads>>
unchanged == <<vars, received>>

OrNil(n) == IF n = 0 THEN Nil ELSE n
VoterSet(ids, casting) == [voters |-> ids, casting |-> OrNil(casting)]
TraceVoters == VoterSet(FirstVoters, FirstCasting)
Members(k) ==
    IF k = 0 THEN Nil
    ELSE LET m == Memberships[k]
         IN [incoming |-> VoterSet(m[1], m[2]), outgoing |-> VoterSet(m[3], m[4])]
Entries(l) == [j \in 1..Len(l.e) |-> [term |-> l.e[j][1], members |-> Members(l.e[j][2])]]
Has(l, field) == field \in DOMAIN l

(* A condition that says what was expected where it does not hold. *)
Is(what, found, expected) ==
    IF found = expected THEN TRUE
    ELSE PrintT(<<"UNEXPECTED", line, what, "trace", found, "spec", expected>>) /\ FALSE
Holds(what, condition) == Is(what, TRUE, condition)

-------------------------------------------------------------------------------
(* The rules of quorate.tla that depend on the trace's line, or are quicker with its bounds.   *)

TraceCandidateLease(n) == hs[n].lease \/ ReadLeases
TraceAnswererLease(n) == hs[n].lease \/ Trace[line].v

TraceMayRevealTerm(state, stored) == state.term = stored.term

TraceWaitsForVote(n) == IF Has(Trace[line], "x") THEN ~Trace[line].x ELSE TRUE

(* The indices at which some log of the trace ever had a membership. *)
TraceMembershipIndex(entries, i) ==
    LET found == {j \in MembershipIndices : j <= i /\ entries[j].members # Nil}
    IN IF found = {} THEN 0 ELSE CHOOSE j \in found : \A k \in found : k <= j

-------------------------------------------------------------------------------
(* Starts and the disk. *)

(* A node starts with what its disk has: the hard state and the log of some of its writes, of  *)
(* the last one perhaps a part. It knows a commit index that it knew before.                   *)
Begin(n, l) ==
    LET ws == writes[n]
        state == [term |-> l.s[1], vote |-> OrNil(l.s[2]), lease |-> l.s[3]]
        last == l.s[6]
        EndsIn(entries, from) ==
            from <= last /\ last <= Len(entries) /\ TermAt(entries, last) = l.s[7]
        isWhole == EndsIn(disk[n].log, Len(disk[n].log))
        parts == {k \in 1..Len(ws) : EndsIn(ws[k].log, ws[k].from)}
        entries == IF isWhole THEN disk[n].log
                   ELSE SubSeq(ws[CHOOSE k \in parts : TRUE].log, 1, last)
    IN /\ Holds("a hard state that was written",
                state \in {disk[n].hs} \cup {ws[k].hs : k \in 1..Len(ws)})
       /\ Holds("a log that was written", isWhole \/ parts # {})
       /\ Holds("a commit index that was known", l.s[5] <= Min(commit[n], last))
       /\ disk' = [disk EXCEPT ![n] = [hs |-> state, log |-> entries]]
       /\ hs' = [hs EXCEPT ![n] = state]
       /\ log' = [log EXCEPT ![n] = entries]
       /\ durable' = [durable EXCEPT ![n] = last]
       /\ role' = [role EXCEPT ![n] = "Follower"]
       /\ verified' = [verified EXCEPT ![n] = 0]
       /\ commit' = [commit EXCEPT ![n] = l.s[5]]
       /\ hears' = [hears EXCEPT ![n] = FALSE]
       /\ prevotes' = [prevotes EXCEPT ![n] = {}]
       /\ promise' = [promise EXCEPT ![n] = KeptPromise(state.lease, @)]
       /\ UNCHANGED <<led, facts, expired, ghosts, received>>

(* The disk reports that the writes up to one are durable (Raft::on_persisted). *)
PersistThrough(n, l) ==
    LET done == {k \in 1..Len(writes[n]) : writes[n][k].id <= l.i}
        last == writes[n][CHOOSE k \in done : \A j \in done : j <= k]
        reached == {writes[n][k].upto : k \in done}
        upto == CHOOSE i \in reached : \A j \in reached : j <= i
    IN /\ Holds("a write that is under way", done # {})
       /\ disk' = [disk EXCEPT ![n] = [hs |-> last.hs, log |-> last.log]]
       /\ durable' = [durable EXCEPT ![n] = Max(@, upto)]
       /\ UNCHANGED <<hs, log, role, verified, commit, hears, prevotes, led, time, ghosts>>
       /\ UNCHANGED received
       /\ Leave(n)

-------------------------------------------------------------------------------
(* Elections. *)

TracePreVote(n, l) ==
    LET fact == [term |-> l.t, voter |-> n, for |-> l.f]
    IN /\ Holds("a later term", l.t > Term(n))
       /\ Holds("a voter that hears no leader", ~HearsLeader(n))
       /\ Holds("a voter without a vote lease", ~IsWithheld(n))
       /\ Holds("a log that is up to date", IsUpToDate(l.lt, l.i, log[n]))
       /\ pregrants' = pregrants \cup {fact}
       /\ UNCHANGED <<vars, votes, known, rounds, confirmed, reads>>

CountPreVote(n, l) ==
    /\ Holds("a pre-candidate", role[n] = "PreCandidate")
    /\ Holds("a pre-vote that was granted",
             [term |-> Term(n) + 1, voter |-> l.f, for |-> n] \in pregrants)
    /\ prevotes' = [prevotes EXCEPT ![n] = @ \cup {l.f}]
    /\ UNCHANGED <<hs, log, role, verified, commit, hears, durable>>
    /\ UNCHANGED <<disk, led, facts, time, ghosts, received>>

(* A pre-candidate asks again. *)
AskAgain(n) ==
    /\ Holds("a pre-candidate without a vote lease", role[n] = "PreCandidate" /\ ~IsWithheld(n))
    /\ prevotes' = [prevotes EXCEPT ![n] = {n}]
    /\ UNCHANGED <<hs, log, role, verified, commit, hears, durable>>
    /\ UNCHANGED <<disk, led, facts, time, ghosts, received>>

(* The vote request of node n in a message that leaves. *)
RequestIn(n, m) ==
    [term |-> m[2], from |-> n, transfer |-> m[5], lastTerm |-> m[4], lastIndex |-> m[3]]

(* A candidate that has just begun its campaign asks with the end of its log. The request is    *)
(* in the outbox from then on, and stays there while the node is in the term.                  *)
Asked(n, l) ==
    IF l.a \in {"Timeout", "WinPreVote", "TakeOver"} /\ role'[n] \in {"Candidate", "Successor"}
    THEN [term |-> hs'[n].term, from |-> n, transfer |-> role'[n] = "Successor",
          lastTerm |-> Last(log[n]), lastIndex |-> Len(log[n])]
    ELSE asked[n]

Campaign(n, action) ==
    /\ action
    /\ votes' = [votes EXCEPT ![n] = {}]
    /\ UNCHANGED <<pregrants, known, rounds, confirmed, reads>>

TraceVote(n, l) ==
    LET request == [term |-> l.t, from |-> l.f, transfer |-> l.x, lastTerm |-> l.lt,
                    lastIndex |-> l.i]
    IN /\ Holds("a request that was sent", request \in left)
       /\ Holds("a voter that has no other vote in the term",
                l.t > Term(n) \/ HasNoOtherVote(hs[n].vote, l.f))
       /\ Holds("a log that is up to date", IsUpToDate(l.lt, l.i, log[n]))
       /\ Holds("a voter that hears no leader", l.x \/ l.t <= Term(n) \/ ~HearsLeader(n))
       /\ Holds("a voter without a vote lease", l.x \/ ~IsWithheld(n))
       /\ Vote(n, request)
       /\ UNCHANGED received

CountVote(n, l) ==
    /\ Holds("a candidate", IsCandidate(n))
    /\ Holds("a vote that was sent", [term |-> Term(n), voter |-> l.f, for |-> n] \in grants)
    /\ votes' = [votes EXCEPT ![n] = @ \cup {l.f}]
    /\ UNCHANGED <<vars, pregrants, known, rounds, confirmed, reads>>

None == [m \in Nodes |-> 0]

TraceBecomeLeader(n) ==
    /\ Holds("a quorum of votes that were received",
             IsQuorum(Active(n), votes[n] \cup (IF disk[n].hs = hs[n] THEN {n} ELSE {})))
    /\ Holds("the only leader of its term", led[Term(n)].by = {})
    /\ Holds("a log with every committed entry",
             /\ Len(log[n]) >= Len(chosen)
             /\ \A i \in 1..Len(chosen) : log[n][i] = chosen[i].entry)
    /\ BecomeLeader(n)
    /\ known' = [known EXCEPT ![n] = None]
    /\ rounds' = [rounds EXCEPT ![n] = None]
    /\ UNCHANGED <<votes, pregrants, confirmed, reads>>

(* A message of a later term arrives (Raft::adopt_term). Its sender is in that term for good. *)
AdoptTerm(n, l) ==
    /\ Holds("a term that is on the disk of the sender", disk[l.f].hs.term >= l.t)
    /\ Holds("a later term", l.t > Term(n))
    /\ Follow(n, l.t, InTerm(n, l.t))
    /\ hears' = [hears EXCEPT ![n] = FALSE]
    /\ verified' = [verified EXCEPT ![n] = 0]
    /\ UNCHANGED <<log, commit, durable, disk, led, time, ghosts, received>>
    /\ Leave(n)

(* A node gives up its leadership or its candidacy (Transition::step_down). *)
GiveUp(n) ==
    /\ Holds("a node that does not follow", role[n] # "Follower")
    /\ Follow(n, Term(n), hs[n])
    /\ hears' = [hears EXCEPT ![n] = FALSE]
    /\ verified' = [verified EXCEPT ![n] = IF role[n] = "PreCandidate" THEN @ ELSE 0]
    /\ UNCHANGED <<log, commit, durable, disk, led, facts, time, ghosts, received>>

-------------------------------------------------------------------------------
(* Replication. *)

TraceAppend(n, l) ==
    /\ Holds("a leader", role[n] = "Leader")
    /\ Holds("entries of its term", \A j \in 1..Len(l.e) : l.e[j] = <<Term(n), 0>>)
    /\ AppendEntries(n, Entries(l))
    /\ UNCHANGED received

Leads(t, n) ==
    /\ Holds("a leader of the term", led[t].by # {} /\ n \notin led[t].by)
    /\ Holds("a term that is not over", t >= Term(n))

(* Entries, or none, of a leader's message; `i` is the last index up to which they were taken. *)
TraceTake(n, l) ==
    LET sent == led[l.t].log
    IN /\ Leads(l.t, n)
       /\ Holds("a commit index that the leader has", l.c <= led[l.t].commit)
       /\ Holds("entries that the leader has appended", l.i <= Len(sent))
       /\ Is("previous entry in the leader's log", l.pt, TermAt(sent, l.p))
       /\ Is("entries in the leader's log", Entries(l), SubSeq(sent, l.p + 1, l.i))
       /\ Holds("an own previous entry that is the same",
                Len(log[n]) >= l.p /\ TermAt(log[n], l.p) = l.pt)
       /\ TakeEntries(n, l.t, l.p, l.i)
       /\ Holds("no committed entry that is replaced",
                Len(log'[n]) >= commit[n] /\ TermAt(log'[n], commit[n]) = TermAt(log[n], commit[n]))
       /\ UNCHANGED received

(* A leader's message of which nothing else was taken. *)
Contact(n, l) ==
    /\ Leads(l.t, n)
    /\ TakeEntries(n, l.t, 0, 0)
    /\ UNCHANGED received

(* The committed entries equal the leader's, whether or not this node still has them           *)
(* (`prev.index` before the base in Follower::on_append_entries).                              *)
VerifyCommitted(n, l) ==
    /\ Holds("committed entries that the leader has",
             /\ l.i <= commit[n] /\ l.i <= Len(led[Term(n)].log)
             /\ TermAt(led[Term(n)].log, l.i) = TermAt(log[n], l.i))
    /\ verified' = [verified EXCEPT ![n] = Max(@, l.i)]
    /\ UNCHANGED <<hs, log, role, commit, hears, prevotes, durable>>
    /\ UNCHANGED <<disk, led, time, ghosts, received>>
    /\ Leave(n)

TraceLearnCommit(n, l) ==
    /\ Holds("a follower", role[n] = "Follower")
    /\ Holds("a commit index that the leader has", l.i <= led[Term(n)].commit)
    /\ Holds("a log that is known to be the leader's", l.i <= verified[n])
    /\ LearnCommit(n, l.i)
    /\ Holds("committed entries", \A j \in commit[n] + 1..l.i : log[n][j] = chosen[j].entry)
    /\ UNCHANGED received

(* A reply to leader n: what is on the disk of `f`, and the round that it answers. *)
Reply(n, l) ==
    LET t == Term(n)
        answers == [rounds[n] EXCEPT ![l.f] = Max(@, l.k)]
        agreed == {k \in {answers[m] : m \in Nodes} :
                       IsQuorum(Active(n), {n} \cup {m \in Nodes : answers[m] >= k})}
    IN /\ Holds("a leader", role[n] = "Leader")
       /\ Holds("an acknowledgement that was sent", l.i <= acked[t][l.f])
       /\ Holds("a round that was answered", l.k <= answered[t][l.f])
       /\ known' = [known EXCEPT ![n][l.f] = Max(@, l.i)]
       /\ rounds' = [rounds EXCEPT ![n] = answers]
       /\ confirmed' = [confirmed EXCEPT ![t] =
                            CHOOSE k \in agreed \cup {@} : \A j \in agreed \cup {@} : j <= k]
       /\ UNCHANGED <<vars, votes, pregrants, reads>>

(* A quorum has index i on its disks, as leader n knows. *)
IsCounted(n, i) ==
    IsQuorum(Active(n), {m \in Nodes : (IF m = n THEN durable[n] ELSE known[n][m]) >= i})

(* The leader commits up to i, or where `x` as far as it may before the step goes on: a         *)
(* membership that it appends then changes what a quorum is.                                   *)
TraceCommit(n, l) ==
    LET may == {i \in commit[n] + 1..l.i : MayCommitByCopies(log[n][i], Term(n)) /\ IsCounted(n, i)}
    IN IF l.x
       THEN IF may = {} THEN UNCHANGED unchanged
            ELSE /\ AdvanceCommit(n, CHOOSE i \in may : \A j \in may : j <= i)
                 /\ UNCHANGED received
       ELSE IF l.i = commit[n] THEN UNCHANGED unchanged
            ELSE /\ Holds("a leader", role[n] = "Leader")
                 /\ Holds("an entry of its own term", MayCommitByCopies(log[n][l.i], Term(n)))
                 /\ Holds("a quorum that has acknowledged it", IsCounted(n, l.i))
                 /\ AdvanceCommit(n, l.i)
                 /\ UNCHANGED received

-------------------------------------------------------------------------------
(* Snapshots: the log here is the whole one, so that compaction changes nothing. A snapshot is  *)
(* the committed entries up to its last one (src/raft/journal/snapshots.rs).                   *)

IsChosen(l) == Holds("a snapshot of committed entries",
                     l.i <= Len(chosen) /\ chosen[l.i].entry.term = l.lt)

(* The snapshot takes the place of the whole log. *)
Install(n, l) ==
    /\ IsChosen(l)
    /\ Holds("a snapshot after the commit index", l.i > commit[n])
    /\ log' = [log EXCEPT ![n] = SubSeq([j \in 1..l.i |-> chosen[j].entry], 1, l.i)]
    /\ durable' = [durable EXCEPT ![n] = Min(@, commit[n])]
    /\ verified' = [verified EXCEPT ![n] = IF role[n] = "Follower" THEN Max(@, l.i) ELSE @]
    /\ commit' = [commit EXCEPT ![n] = l.i]
    /\ UNCHANGED <<hs, role, hears, prevotes, disk, led, time, ghosts, received>>
    /\ Leave(n)

(* A snapshot of entries that the log has shows that these are committed. *)
HaveSnapshot(n, l) ==
    IF Len(log[n]) < l.i \/ TermAt(log[n], l.i) # l.lt THEN UNCHANGED unchanged
    ELSE /\ IsChosen(l)
         /\ verified' = [verified EXCEPT ![n] = Max(@, l.i)]
         /\ commit' = [commit EXCEPT ![n] = Max(@, l.i)]
         /\ UNCHANGED <<hs, log, role, hears, prevotes, durable>>
         /\ UNCHANGED <<disk, led, time, ghosts, received>>
         /\ Leave(n)

-------------------------------------------------------------------------------
(* Transfers and membership changes. *)

TraceAsk(n, l) ==
    /\ Holds("a target that has the whole log", known[n][l.f] = Len(log[n]))
    /\ AskToTakeOver(n, l.f)
    /\ UNCHANGED received

(* A leader that steps down next asks a voter, which need not have the whole log               *)
(* (Transfers::try_hand_over).                                                                 *)
Yield(n, l) ==
    /\ Holds("a leader", role[n] = "Leader")
    /\ Holds("a leader that steps down", Trace[line + 1].n = n /\ Trace[line + 1].a = "GiveUp")
    /\ led' = [led EXCEPT ![Term(n)].handover = @ \cup {l.f}]
    /\ UNCHANGED <<memory, disk, facts, time, ghosts, received>>

TraceTakeOver(n) ==
    /\ Holds("a node that its leader asked", n \in led[Term(n)].handover)
    /\ Campaign(n, TakeOver(n))

(* A step of a change that moves no vote: learners, or an address. *)
KeepVoters(n, members) ==
    /\ role[n] = "Leader" /\ HasCommittedInTerm(n) /\ LastChangeIsCommitted(n)
    /\ Active(n) = members
    /\ AppendEntry(n, [term |-> Term(n), members |-> members])

ChangeMembers(n, l) ==
    LET members == Members(l.e[1][2])
    IN /\ Holds("a leader", role[n] = "Leader")
       /\ Holds("a leader that has committed in its term", HasCommittedInTerm(n))
       /\ Holds("a last change that is committed", LastChangeIsCommitted(n))
       /\ IF members.outgoing.voters # {} /\ Active(n).outgoing.voters = {}
          THEN EnterJoint(n, members.incoming)
          ELSE IF Active(n).outgoing.voters # {} THEN LeaveJoint(n) ELSE KeepVoters(n, members)
       /\ Is("membership", members, MembershipAt(log'[n], Len(log'[n])))
       /\ UNCHANGED received

-------------------------------------------------------------------------------
(* Time and reads. *)

TraceRound(n, l) ==
    /\ Is("number of the round", l.k, led[Term(n)].round + 1)
    /\ BeginRound(n)
    /\ UNCHANGED received

TraceHeartbeat(n, l) ==
    /\ Leads(l.t, n)
    /\ Holds("a round that has begun", l.k <= led[l.t].round)
    /\ Holds("a commit index that the leader has", l.c <= led[l.t].commit)
    /\ TakeHeartbeat(n, l.t, l.k)
    /\ UNCHANGED received

(* The clock of node n shows that the leases of term t up to round k are over: it is the leader *)
(* of the term, or a node that answered that round.                                            *)
EndRounds(l) ==
    /\ Leases /\ l.k > expired[l.t] /\ l.k <= led[l.t].round
    /\ expired' = [expired EXCEPT ![l.t] = l.k]
    /\ UNCHANGED <<memory, disk, facts, led, promise, ghosts, received>>

Forget(n) == ForgetLeader(n) /\ UNCHANGED received

(* The leader has a lease by what it has received. *)
KnowsLease(n) ==
    /\ HasLease(n)
    /\ \E k \in expired[Term(n)] + 1..led[Term(n)].round :
           IsQuorum(Active(n), {n} \cup {m \in Nodes : rounds[n][m] >= k})

(* A read begins: here at node n, or at leader n for the reads of a follower. `x` says that a   *)
(* lease would do.                                                                             *)
TraceRead(n, l) ==
    LET leads == role[n] = "Leader"
        read == [term |-> IF leads THEN Term(n) ELSE 0,
                 round |-> IF leads THEN RoundOfRead(Term(n)) ELSE 0,
                 lease |-> leads /\ l.x /\ KnowsLease(n),
                 need |-> IF OneClock THEN Len(chosen) ELSE commit[n]]
    IN /\ reads' = (l.q :> read) @@ reads
       /\ UNCHANGED <<vars, votes, pregrants, known, rounds, confirmed>>

(* The round of the read is confirmed: a leader knew it before, or knows it after this step.    *)
IsRoundConfirmed(n, read) ==
    \/ confirmed'[read.term] >= read.round
    \/ role[n] = "Leader" /\ Term(n) = read.term
       /\ IsQuorum(Active(n), {n} \cup {m \in Nodes : rounds'[n][m] >= read.round})

MayAnswer(n, name, index) ==
    LET read == reads'[name]
    IN /\ Holds("a read that was asked for", name \in DOMAIN reads')
       /\ Holds("a read index with every entry that was committed before", index >= read.need)
       /\ Holds("a lease, or a round that a quorum has answered",
                read.term = 0 \/ read.lease \/ IsRoundConfirmed(n, read))

Answer(n, l) == UNCHANGED unchanged /\ MayAnswer(n, l.q, l.i)

-------------------------------------------------------------------------------
(* The state and the messages that a node shows after a step. *)

Shows(n, s) ==
    /\ Is("term", s[1], hs'[n].term)
    /\ Is("vote", OrNil(s[2]), hs'[n].vote)
    /\ Is("vote lease", s[3], hs'[n].lease)
    /\ Is("role", s[4], IF role'[n] = "Successor" THEN "Candidate" ELSE role'[n])
    /\ Is("commit index", s[5], commit'[n])
    /\ Is("last index", s[6], Len(log'[n]))
    /\ Is("last term", s[7], Last(log'[n]))
    /\ Is("durable index", s[8], durable'[n])

(* A message leaves node n. *)
Leaves(n, m) ==
    CASE m[1] = "request" ->
            /\ Is("vote request of the campaign", RequestIn(n, m), asked'[n])
            /\ Holds("a vote request whose vote is durable",
                     MayReveal([term |-> m[2], vote |-> n], disk'[n].hs))
      [] m[1] = "grant" ->
            Holds("a vote that is durable", [term |-> m[2], voter |-> n, for |-> m[3]] \in grants')
      [] m[1] = "ack" ->
            Holds("an acknowledgement of durable entries", m[3] <= acked'[m[2]][n])
      [] m[1] = "beat" ->
            /\ Holds("a reply whose term and vote lease are durable", m[3] <= answered'[m[2]][n])
            /\ Holds("a reply about durable entries", m[4] <= acked'[m[2]][n])
            /\ Holds("a reply about entries of the leader", m[5] <= verified'[n])
      [] m[1] = "index" -> MayAnswer(n, m[2], m[3])

(* The vote requests that leave in the step. *)
Requests(n, l) ==
    IF Has(l, "o")
    THEN {RequestIn(n, l.o[k]) : k \in {j \in 1..Len(l.o) : l.o[j][1] = "request"}}
    ELSE {}

(* Every change of the hard state and of the log is in a write. *)
IsWritten(n) ==
    LET ws == writes'[n]
        last == IF ws = <<>> THEN disk'[n] ELSE ws[Len(ws)]
    IN Holds("a change that is written to the disk",
             /\ last.hs = hs'[n] /\ Len(last.log) = Len(log'[n]) /\ Last(last.log) = Last(log'[n]))

(* A write of node n begins with the entry after `from`, and with a snapshot if `x`. *)
Submit(n, ws, w) ==
    LET cut(k) == [ws[k] EXCEPT !.upto = Min(@, w.from)]
    IN Append([k \in 1..Len(ws) |-> cut(k)],
              [id |-> w.id, hs |-> hs'[n], log |-> log'[n], from |-> IF w.x THEN Len(log'[n])
                                                                  ELSE w.from,
               upto |-> Len(log'[n])])

UnderWay(n, l) ==
    CASE l.a = "Begin" -> <<>>
      [] l.a = "Persist" -> SelectSeq(writes[n], LAMBDA w : w.id > l.i)
      [] OTHER -> writes[n]

Explains(n, l) ==
    CASE l.a = "Begin" -> Begin(n, l)
      [] l.a = "Persist" -> PersistThrough(n, l)
      [] l.a = "Heartbeat" -> TraceHeartbeat(n, l)
      [] l.a = "Reply" -> Reply(n, l)
      [] l.a = "Take" -> TraceTake(n, l)
      [] l.a = "Contact" -> Contact(n, l)
      [] l.a = "LearnCommit" -> TraceLearnCommit(n, l)
      [] l.a = "Append" -> TraceAppend(n, l)
      [] l.a = "Commit" -> TraceCommit(n, l)
      [] l.a = "Round" -> TraceRound(n, l)
      [] l.a = "Show" -> UNCHANGED unchanged
      [] l.a = "Read" -> TraceRead(n, l)
      [] l.a = "Answer" -> Answer(n, l)
      [] l.a = "Timeout" -> Campaign(n, Timeout(n))
      [] l.a = "AskAgain" -> AskAgain(n)
      [] l.a = "PreVote" -> TracePreVote(n, l)
      [] l.a = "CountPreVote" -> CountPreVote(n, l)
      [] l.a = "WinPreVote" -> Campaign(n, WinPreVote(n))
      [] l.a = "Vote" -> TraceVote(n, l)
      [] l.a = "CountVote" -> CountVote(n, l)
      [] l.a = "BecomeLeader" -> TraceBecomeLeader(n)
      [] l.a = "AdoptTerm" -> AdoptTerm(n, l)
      [] l.a = "GiveUp" -> GiveUp(n)
      [] l.a = "Forget" -> Forget(n)
      [] l.a = "EndRounds" -> EndRounds(l)
      [] l.a = "Verify" -> VerifyCommitted(n, l)
      [] l.a = "Install" -> Install(n, l)
      [] l.a = "HaveSnapshot" -> HaveSnapshot(n, l)
      [] l.a = "Ask" -> TraceAsk(n, l)
      [] l.a = "Yield" -> Yield(n, l)
      [] l.a = "TakeOver" -> TraceTakeOver(n)
      [] l.a = "Members" -> ChangeMembers(n, l)

Step ==
    /\ line <= Len(Trace)
    /\ \E l \in {Trace[line]}, n \in {Trace[line].n} :
          /\ Explains(n, l)
          /\ writes' = [writes EXCEPT ![n] =
                            IF Has(l, "w") THEN Submit(n, UnderWay(n, l), l.w) ELSE UnderWay(n, l)]
          /\ asked' = [asked EXCEPT ![n] = Asked(n, l)]
          /\ left' = left \cup Requests(n, l)
          /\ IF Has(l, "s") THEN Shows(n, l.s) /\ IsWritten(n) ELSE TRUE
          /\ IF Has(l, "o") THEN \A k \in 1..Len(l.o) : Leaves(n, l.o[k]) ELSE TRUE
    /\ line' = line + 1
    /\ TLCSet(1, line)
    /\ IF line = Len(Trace) THEN PrintT(<<"ACCEPTED", line>>) ELSE TRUE

(* The state of a node, for the report of a refused line. *)
Shown(n) ==
    [term |-> Term(n), vote |-> hs[n].vote, lease |-> hs[n].lease, role |-> role[n],
     commit |-> commit[n], last |-> Len(log[n]), lastTerm |-> Last(log[n]),
     durable |-> durable[n], verified |-> verified[n], hears |-> hears[n],
     withheld |-> IsWithheld(n), votes |-> votes[n], prevotes |-> prevotes[n],
     known |-> known[n], rounds |-> rounds[n],
     leadersCommit |-> IF Term(n) = 0 THEN 0 ELSE led[Term(n)].commit]

(* TLC tries this after Step, which notes in TLC's register 1 that it took the line. *)
Refuse ==
    /\ line <= Len(Trace)
    /\ IF TLCGet(1) = line THEN FALSE
       ELSE /\ PrintT(<<"REFUSED", line, Trace[line], Shown(Trace[line].n)>>)
            /\ FALSE
    /\ UNCHANGED <<unchanged, line, writes, asked, left>>

TraceInit ==
    /\ Init
    /\ line = 1
    /\ writes = [n \in Nodes |-> <<>>]
    /\ asked = [n \in Nodes |-> Nil]
    /\ left = {}
    /\ votes = [n \in Nodes |-> {}]
    /\ pregrants = {}
    /\ known = [n \in Nodes |-> None]
    /\ rounds = [n \in Nodes |-> None]
    /\ confirmed = [t \in Terms |-> 0]
    /\ reads = <<>>
    /\ TLCSet(1, 0)

TraceNext == Step \/ Refuse

(* Every line has one explanation at most, so the number of the line identifies the state. *)
View == line
===============================================================================
