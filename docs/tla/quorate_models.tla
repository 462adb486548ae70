---------------------------- MODULE quorate_models ----------------------------
(* What the models of quorate.tla need besides numbers: voter sets, and wrong  *)
(* rules. A wrong rule takes the place of a rule of the same shape when a      *)
(* configuration says so; TLC must then find a violation (check.sh).           *)
EXTENDS quorate

CONSTANTS n1, n2, n3

NoTargets == {}
TheFirst == {[voters |-> {n1}, casting |-> Nil]}
AllVote == [voters |-> Nodes, casting |-> Nil]
TwoVote == [voters |-> {n1, n2}, casting |-> n1]
OtherTwo == {[voters |-> {n2, n3}, casting |-> n3]}

-------------------------------------------------------------------------------
(* Later starts, each a state that the spec can reach. They leave the elections before them to *)
(* the model `elections`, so that the bounds last for what comes after.                        *)

(* `leader` leads term t; the nodes have these logs, and these on their disks. The leader has  *)
(* committed its log up to index i, and knows that all nodes have these entries.               *)
StartWith(leader, t, logOf, stored, i) ==
    /\ hs = [n \in Nodes |-> [term |-> t, vote |-> leader, lease |-> FALSE]]
    /\ log = logOf
    /\ role = [n \in Nodes |-> IF n = leader THEN "Leader" ELSE "Follower"]
    /\ verified = [n \in Nodes |-> IF n = leader THEN 0 ELSE i]
    /\ commit = [n \in Nodes |-> IF n = leader THEN i ELSE 0]
    /\ hears = [n \in Nodes |-> FALSE]
    /\ prevotes = [n \in Nodes |-> {}]
    /\ disk = [n \in Nodes |-> [hs |-> hs[n], log |-> stored[n]]]
    /\ durable = [n \in Nodes |-> Len(stored[n])]
    /\ requests = {}
    /\ grants = {[term |-> t, voter |-> n, for |-> leader] : n \in Nodes}
    /\ answered = [u \in Terms |-> [n \in Nodes |-> 0]]
    /\ acked = [u \in Terms |-> [n \in Nodes |->
                IF u # t THEN 0 ELSE IF n = leader THEN Len(stored[n]) ELSE i]]
    /\ promise = [n \in Nodes |-> [u \in Terms |-> 0]]
    /\ expired = [u \in Terms |-> IF Leases THEN 0 ELSE MaxRound]
    /\ chosen = [j \in 1..i |-> [entry |-> logOf[leader][j], term |-> t]]
    /\ stale = {} /\ crashes = 0

Empty == [n \in Nodes |-> <<>>]
Sent(n) == [NoLeader EXCEPT !.by = {n}, !.log = log[n], !.commit = commit[n]]
LedBy(n) == led = [t \in Terms |-> IF t = 1 THEN Sent(n) ELSE NoLeader]

(* n1 leads term 1, with its first entry in memory. *)
InitLed ==
    /\ StartWith(n1, 1, [Empty EXCEPT ![n1] = <<Ordinary(1)>>], Empty, 0)
    /\ LedBy(n1)

(* n1 leads term 1, and has committed its first entry on all disks. *)
FirstEntry == [n \in Nodes |-> <<Ordinary(1)>>]
InitEstablished == StartWith(n1, 1, FirstEntry, FirstEntry, 1) /\ LedBy(n1)

(* Figure 8 of Raft: n1 led term 1 and n2 led term 2; no other node has the first entry of      *)
(* either. Now n1 leads term 3.                                                                *)
ThreeLogs == n1 :> <<Ordinary(1), Ordinary(3)>> @@ n2 :> <<Ordinary(2)>> @@ n3 :> <<>>
InitFigure8 ==
    /\ StartWith(n1, 3, ThreeLogs, ThreeLogs, 0)
    /\ led = [t \in Terms |-> CASE t = 1 -> [Sent(n1) EXCEPT !.log = <<Ordinary(1)>>]
                                [] t = 2 -> Sent(n2) [] t = 3 -> Sent(n1) [] OTHER -> NoLeader]

OthersAreAlike == Permutations({n2, n3})

-------------------------------------------------------------------------------
(* Wrong rules. *)

RevealAtOnce(state, stored) == TRUE
AcknowledgeMemory(matching, onDisk) == matching
CountOwnMemory(end, onDisk) == end
CommitAnyTerm(entry, t) == TRUE
AnyLogIsUpToDate(lastTerm, lastIndex, entries) == TRUE
VoteAgain(vote, candidate) == TRUE
NothingIsWithheld(n) == FALSE
ForgetPromise(stored, made) == [t \in Terms |-> 0]
LeaseOutlivesTransfer(t) == TRUE
ReadWithoutRound(t) == 0
OnlyIncoming(m, some) == IsMajority(m.incoming, some)
HalfIsEnough(v, some) == 2 * Cardinality(v.voters \cap some) >= Cardinality(v.voters)
===============================================================================
