//! Parses scenario lines: the verbs, their arguments, and the conditions under which they run.

use std::time::Duration;

use quorate::types::{Address, Change, NodeId};

use crate::plan::{
    Call, KeptWrites, MachineFault, NodeSelector, Op, Region, ScriptedRequest, Trigger,
    TriggerCondition, UNTIL_STABILIZATION, Verb, When,
};
use crate::time::SimTime;
use crate::words::{self, SyntaxError, Words};

/// The syntax of one verb, its summary, and its parser.
#[derive(Clone, Copy, Debug)]
pub struct VerbSyntax {
    /// The words that name the verb: `crash`, `slow disk`.
    pub verb: &'static str,
    /// The arguments after the verb: `NODE [keep=part|all] [for DURATION]`.
    pub arguments: &'static str,
    /// One or two sentences for the reference: the effect of the verb.
    pub summary: &'static str,
    read: fn(&mut Words<'_>) -> Result<Verb, SyntaxError>,
}

macro_rules! verbs {
    ($($verb:literal $arguments:literal $summary:literal $read:expr;)*) => {
        /// Every verb of the scenario language.
        pub static VERBS: &[VerbSyntax] = &[
            $(VerbSyntax { verb: $verb, arguments: $arguments, summary: $summary, read: $read }),*
        ];
    };
}

verbs! {
    "crash" "NODE [keep=part|all] [for DURATION]"
        "The node crashes, loses its memory and its unflushed writes, and restarts after the \
         duration; `keep` keeps a part or all of the unflushed writes."
        |w| Ok(Verb::Crash(NodeSelector::read(w)?, kept_writes(w)?, for_duration(w)?));
    "stop" "NODE [for DURATION]"
        "The node shuts down cleanly, and restarts after the duration."
        |w| Ok(Verb::Stop(NodeSelector::read(w)?, for_duration(w)?));
    "pause" "NODE [for DURATION]"
        "The node makes no steps; messages that arrive meanwhile are delivered together at the end."
        |w| Ok(Verb::Pause(NodeSelector::read(w)?, for_duration(w)?));
    "wipe" "NODE [for DURATION]"
        "The node loses its disk, and restarts on an empty one. The line does nothing if the \
         cluster could not survive the loss."
        |w| Ok(Verb::Wipe(NodeSelector::read(w)?, for_duration(w)?));
    "roll back" "NODE by DURATION [for DURATION]"
        "Copies the node's disk; after the first duration the node crashes, and after the second \
         one it restarts on the copy."
        |w| Ok(Verb::RollBack(NodeSelector::read(w)?, by(w)?, for_duration(w)?));
    "isolate" "NODE [for DURATION]"
        "Blocks all messages to and from the node."
        |w| Ok(Verb::Isolate(NodeSelector::read(w)?, for_duration(w)?));
    "block inbound" "NODE [for DURATION]"
        "Blocks all messages to the node; messages from it arrive."
        |w| Ok(Verb::BlockInbound(NodeSelector::read(w)?, for_duration(w)?));
    "block outbound" "NODE [for DURATION]"
        "Blocks all messages from the node; messages to it arrive."
        |w| Ok(Verb::BlockOutbound(NodeSelector::read(w)?, for_duration(w)?));
    "strand" "NODE with NODE [for DURATION]"
        "The first node keeps only its links with the second one."
        strand;
    "cut" "NODE -> NODE [for DURATION]"
        "Blocks messages from the first node to the second one."
        cut;
    "split" "NODE.. [for DURATION]"
        "Blocks all messages between these nodes and the others."
        |w| Ok(Verb::Split(several(w, "a node", NodeSelector::of)?, for_duration(w)?));
    "only" "ID-ID.. [for DURATION]"
        "Blocks all messages except between these pairs of nodes."
        |w| Ok(Verb::Only(several(w, "a pair of nodes, like n1-n2", pair)?, for_duration(w)?));
    "flap" "NODE-NODE every DURATION [for DURATION]"
        "The link between the two nodes goes down and up again, each time for the first duration."
        flap;
    "clog" "NODE [for DURATION]"
        "Holds back all messages from the node, and delivers them together at the end."
        |w| Ok(Verb::Clog(NodeSelector::read(w)?, for_duration(w)?));
    "clock drift" "NODE +N|-N ppm [for DURATION]"
        "The node's clock runs fast (`+`) or slow (`-`) by N parts per million."
        |w| Ok(Verb::ClockDrift(NodeSelector::read(w)?, ppm(w)?, for_duration(w)?));
    "clock step" "NODE by DURATION"
        "The node's clock steps forward by the duration."
        |w| Ok(Verb::ClockStep(NodeSelector::read(w)?, by(w)?));
    "slow disk" "NODE by DURATION [for DURATION]"
        "Each flush of the node takes longer by the first duration."
        |w| Ok(Verb::SlowDisk(NodeSelector::read(w)?, by(w)?, for_duration(w)?));
    "slow apply" "NODE by DURATION [for DURATION]"
        "The node's state machine takes longer for each batch by the first duration."
        |w| Ok(Verb::SlowApply(NodeSelector::read(w)?, by(w)?, for_duration(w)?));
    "misroute" "NODE [count=N]"
        "The node receives N messages that no correct node would send to it."
        |w| Ok(Verb::Misroute(NodeSelector::read(w)?, count(w)?));
    "replay" "NODE [count=N]"
        "The node receives N old messages again."
        |w| Ok(Verb::Replay(NodeSelector::read(w)?, count(w)?));
    "campaign" "NODE"
        "The node starts an election, even if its leader is healthy."
        |w| Ok(Verb::Campaign(NodeSelector::read(w)?));
    "load spike" "NODE [count=N]"
        "The node receives N commands at once."
        |w| Ok(Verb::LoadSpike(NodeSelector::read(w)?, count(w)?));
    "poll reads" "NODE every DURATION [for DURATION]"
        "A client reads at the node, at once and after every first duration."
        |w| Ok(Verb::PollReads(NodeSelector::read(w)?, every(w)?, for_duration(w)?));
    "fail" "CALL NODE [after=N] [sectors=N]"
        "A disk call of the node fails, after N other calls of this kind; `sectors` of it are done."
        fail;
    "fill disk" "NODE [room=BYTES] [for DURATION]"
        "The node's disk accepts only this many more bytes, or none."
        fill_disk;
    "stall disk" "NODE [for DURATION]"
        "The node's disk completes no call."
        |w| Ok(Verb::StallDisk(NodeSelector::read(w)?, for_duration(w)?));
    "corrupt" "REGION NODE"
        "Flips bits in this region of the node's disk."
        |w| { let region = Region::read(w)?; Ok(Verb::Corrupt(NodeSelector::read(w)?, region)) };
    "misdirect write" "NODE to REGION [after=N]"
        "A write of the node, after N others, goes to this region of its disk instead."
        misdirect;
    "lose write" "NODE [after=N]"
        "A write of the node, after N others, is reported as done but not stored."
        |w| Ok(Verb::LoseWrite(NodeSelector::read(w)?, w.given("after")?.unwrap_or(0)));
    "change" "NODE EDIT.."
        "Asks the node to change the membership: `+n4` is a voter, `?n4` a learner, `~n4` a \
         suspended voter, `-n4` is removed, `n4!200` has this priority, `n4@host-4` this address, \
         `casting=n4` holds the casting vote, and with `casting=none` no node does; `nothing` \
         is a change without edits."
        |w| Ok(Verb::Change(NodeSelector::read(w)?, change(w)?));
    "cancel change" "NODE"
        "Asks the node to cancel the membership change in progress."
        |w| Ok(Verb::CancelChange(NodeSelector::read(w)?));
    "transfer" "NODE [to ID]"
        "Asks the node to transfer the leadership to this node, or to the best target."
        transfer;
    "machine fault" "NODE FAULT"
        "The node's state machine makes this error with the next command."
        machine_fault;
    "put" "KEY=VALUE [via NODE]"
        "A client sets the key to the value, and sends the request to this node first."
        |w| Ok(Verb::Request(ScriptedRequest::put(w)?));
    "cas" "KEY=VALUE -> VALUE [via NODE]"
        "A client sets the key to the second value if it has the first one, or `nothing`."
        |w| Ok(Verb::Request(ScriptedRequest::swap(w)?));
    "get" "KEY [via NODE] [LEVEL]"
        "A client reads the key, at this node only."
        |w| Ok(Verb::Request(ScriptedRequest::get(w)?));
}

impl Op {
    /// The words that an operation begins with.
    pub(crate) const BEGINNINGS: [&'static str; 5] = ["at", "from", "to", "when", "whenever"];

    /// Parses the words after `expect`: a scripted request, which names its verb first and its time
    /// last.
    ///
    /// # Errors
    /// The first syntax error.
    pub(crate) fn expected(words: &mut Words<'_>) -> Result<Op, SyntaxError> {
        let name = ScriptedRequest::NAMES[words.name("request", &ScriptedRequest::NAMES)?];
        let request = ScriptedRequest::expected(name, words)?;
        words.need("at")?;
        let when = When::At(SimTime::default().after(words.duration()?));
        words.end()?;
        if matches!(request.via, Some(NodeSelector::It | NodeSelector::Other)) {
            return Err(words.error("`it` and `other` are nodes of a trigger: name a node"));
        }
        Ok(Op { when, verb: Verb::Request(request) })
    }

    /// Parses one line of the plan.
    ///
    /// # Errors
    /// The first syntax error.
    pub(crate) fn read(words: &mut Words<'_>) -> Result<Op, SyntaxError> {
        let when = When::read(words)?;
        if !matches!(when, When::At(_)) {
            words.need(",")?;
        }
        let names: Vec<&str> = VERBS.iter().map(|syntax| syntax.verb).collect();
        let syntax = &VERBS[words.name("verb", &names)?];
        let mut named = words.clone();
        let verb = (syntax.read)(words)?;
        words.end()?;
        while matches!(when, When::At(_)) && !named.is_empty() {
            let of_trigger = |part: &str| {
                matches!(NodeSelector::of(part), Some(NodeSelector::It | NodeSelector::Other))
            };
            if named.word("a node")?.split('-').any(of_trigger) {
                let text = "`it` and `other` are nodes of a trigger: name a node, or write `when`";
                return Err(named.error(text));
            }
        }
        Ok(Op { when, verb })
    }
}

impl When {
    fn read(words: &mut Words<'_>) -> Result<When, SyntaxError> {
        let start = SimTime::default();
        if words.accept("at") {
            return Ok(When::At(start.after(words.duration()?)));
        }
        let from = if words.accept("from") { words.duration()? } else { Duration::ZERO };
        let to = if words.accept("to") { words.duration()? } else { UNTIL_STABILIZATION };
        let again = words.name("time or trigger", &["when", "whenever"])? == 1;
        let node = if words.accept("any") { None } else { Some(words.node()?) };
        let trigger = Trigger::read(words)?;
        let nth = words.given("nth")?.unwrap_or(1);
        let times = if again { words.given("times")?.unwrap_or(u32::MAX) } else { 1 };
        let delay = if words.accept("delay") { words.duration()? } else { Duration::ZERO };
        if nth == 0 || times == 0 || again && times == 1 {
            let text = "nth= counts from 1; write `when` for an operation that runs once";
            return Err(words.error(text));
        }
        let (from, to) = (start.after(from), start.after(to));
        Ok(When::On(TriggerCondition { trigger, node, from, to, nth, times, delay }))
    }
}

/// Parses the duration of a fault; without `for` it has no end of its own.
fn for_duration(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    if words.accept("for") { words.duration() } else { Ok(UNTIL_STABILIZATION) }
}

fn by(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    words.need("by")?;
    words.duration()
}

/// Parses a period, which is never zero because the operation would then never end.
fn every(words: &mut Words<'_>) -> Result<Duration, SyntaxError> {
    words.need("every")?;
    let period = words.duration()?;
    if period.is_zero() {
        return Err(words.error("the period is 0s: write a longer duration"));
    }
    Ok(period)
}

/// Parses a count from 1 to 10,000; the default is 1.
fn count(words: &mut Words<'_>) -> Result<u32, SyntaxError> {
    const MOST: u32 = 10_000;
    let count = words.given("count")?.unwrap_or(1);
    match count {
        1..=MOST => Ok(count),
        _ => Err(words.error(format!("count= is from 1 to {MOST}: write several lines for more"))),
    }
}

fn kept_writes(words: &mut Words<'_>) -> Result<KeptWrites, SyntaxError> {
    let part = |word: &str| {
        let name = word.strip_prefix("keep=")?;
        KeptWrites::ALL.iter().find(|(_, known)| *known == name).map(|(kept, _)| *kept)
    };
    match words.peek().is_some_and(|word| word.starts_with("keep=")) {
        true => words.read("keep=none, keep=part or keep=all", part),
        false => Ok(KeptWrites::None),
    }
}

/// Parses the words up to `for` or the end of the line; at least one is needed.
fn several<T>(
    words: &mut Words<'_>,
    expected: &str,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SyntaxError> {
    let mut all = vec![words.read(expected, &one)?];
    while words.peek().is_some_and(|word| word != "for") {
        all.push(words.read(expected, &one)?);
    }
    Ok(all)
}

fn pair(word: &str) -> Option<(NodeId, NodeId)> {
    let (one, other) = word.split_once('-')?;
    Some((words::node(one)?, words::node(other)?))
}

fn strand(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let node = NodeSelector::read(words)?;
    words.need("with")?;
    Ok(Verb::Strand(node, NodeSelector::read(words)?, for_duration(words)?))
}

fn cut(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let from = NodeSelector::read(words)?;
    words.need("->")?;
    Ok(Verb::Cut(from, NodeSelector::read(words)?, for_duration(words)?))
}

fn flap(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let ends = |word: &str| {
        let (one, other) = word.split_once('-')?;
        Some((NodeSelector::of(one)?, NodeSelector::of(other)?))
    };
    let (one, other) = words.read("two nodes, like n1-n2 or n1-leader", ends)?;
    Ok(Verb::Flap(one, other, every(words)?, for_duration(words)?))
}

fn ppm(words: &mut Words<'_>) -> Result<i32, SyntaxError> {
    let read = |word: &str| {
        let signed = word.strip_suffix("ppm").filter(|word| word.starts_with(['+', '-']))?;
        // The bound excludes clocks that run backwards or twice as fast.
        signed.parse().ok().filter(|ppm| (-500_000..=500_000).contains(ppm))
    };
    words.read("a drift of up to 500000 millionths, like +300ppm or -300ppm", read)
}

fn fail(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let call = Call::read(words)?;
    let node = NodeSelector::read(words)?;
    let after = words.given("after")?.unwrap_or(0);
    Ok(Verb::FailCall(node, call, after, words.given("sectors")?.unwrap_or(0)))
}

fn fill_disk(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let node = NodeSelector::read(words)?;
    let room = words.given("room")?.unwrap_or(0);
    Ok(Verb::FillDisk(node, room, for_duration(words)?))
}

fn misdirect(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let node = NodeSelector::read(words)?;
    words.need("to")?;
    let region = Region::read(words)?;
    Ok(Verb::MisdirectWrite(node, region, words.given("after")?.unwrap_or(0)))
}

fn transfer(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let node = NodeSelector::read(words)?;
    let to = if words.accept("to") { Some(words.node()?) } else { None };
    Ok(Verb::Transfer(node, to))
}

fn machine_fault(words: &mut Words<'_>) -> Result<Verb, SyntaxError> {
    let node = NodeSelector::read(words)?;
    Ok(Verb::MachineFault(node, MachineFault::read(words)?))
}
fn change(words: &mut Words<'_>) -> Result<Change, SyntaxError> {
    let mut change = Change::new();
    if words.accept("nothing") {
        return Ok(change);
    }
    loop {
        let expected = "an edit, like +n4, ?n4, ~n4, -n4, n4!200, n4@host-4 or casting=n4";
        change = words.read(expected, |word| edited(change.clone(), word))?;
        if words.is_empty() {
            return Ok(change);
        }
    }
}

/// Returns the change with one more edit, or `None` if the word is no edit.
fn edited(change: Change, word: &str) -> Option<Change> {
    let rest = |sign: char| word.strip_prefix(sign).and_then(words::node);
    if let Some(holder) = word.strip_prefix("casting=") {
        let no_holder = holder == "none";
        return (no_holder || words::node(holder).is_some())
            .then(|| change.casting(words::node(holder)));
    }
    if let Some(node) = rest('+') {
        return Some(change.voter(node));
    }
    if let Some(node) = rest('?') {
        return Some(change.learner(node));
    }
    if let Some(node) = rest('~') {
        return Some(change.suspend(node));
    }
    if let Some(node) = rest('-') {
        return Some(change.remove(node));
    }
    if let Some((node, priority)) = word.split_once('!') {
        return Some(change.priority(words::node(node)?, priority.parse().ok()?));
    }
    let (node, address) = word.split_once('@')?;
    Some(change.address(words::node(node)?, Address::new(address)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Op, SyntaxError> {
        Op::read(&mut Words::of(line, 1))
    }

    /// One line for each verb, with all that it takes.
    const LINES: [&str; 41] = [
        "at 1s crash n1",
        "at 1s crash leader keep=part for 90ms",
        "at 1s stop n1 for 90ms",
        "at 1s pause n1 for 90ms",
        "at 1s wipe n1 for 90ms",
        "at 1s roll back n1 by 1s for 90ms",
        "at 1s isolate n1",
        "at 1s block inbound n1 for 1.5s",
        "at 1s block outbound n1 for 90ms",
        "at 1s strand leader with n2 for 90ms",
        "at 1s cut n1 -> leader for 90ms",
        "at 1s split n1 leader for 90ms",
        "at 1s only n1-n2 n2-n3 for 90ms",
        "at 1s flap n1-leader every 5ms for 90ms",
        "at 1s clog n1 for 90ms",
        "at 1s clock drift n1 -300ppm for 90ms",
        "at 1s clock step n1 by 90ms",
        "at 1s slow disk n1 by 5ms for 90ms",
        "at 1s slow apply n1 by 5ms for 90ms",
        "at 1s misroute n1 count=3",
        "at 1s replay n1",
        "at 1s campaign n1",
        "at 1s load spike leader count=30",
        "at 1s poll reads n1 every 5ms for 90ms",
        "at 1s fail directory flush n1 after=1 sectors=2",
        "at 1s fill disk n1 room=512 for 90ms",
        "at 1s stall disk n1 for 90ms",
        "at 1s corrupt headers n1",
        "at 1s misdirect write n1 to bodies after=1",
        "at 1s lose write n1 after=1",
        "at 1s change leader +n4 ?n5 ~n3 -n2 n1!200 n1@host-1 casting=n4",
        "at 1s change leader nothing",
        "at 1s cancel change leader",
        "at 1s transfer leader to n2",
        "at 1s machine fault n1 skipped command",
        "at 1s put x=1 via n2",
        "at 1s cas x=1 -> 2",
        "at 1s cas x=nothing -> 2 via leader",
        "at 1s get x via n3 local",
        "when any becomes leader, get x via it 1.5s",
        "from 1s to 2s whenever n3 submits vote nth=2 times=3 delay 5ms, crash other",
    ];

    #[test]
    fn every_verb_reads_as_it_prints() {
        for line in LINES {
            let op = read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(op.to_string(), line);
        }
        for VerbSyntax { verb, .. } in VERBS {
            assert!(LINES.iter().any(|line| line.contains(verb)), "{verb}");
        }
    }

    #[test]
    fn every_trigger_reads_as_it_prints() {
        for (trigger, name) in Trigger::ALL {
            let op = read(&format!("when any {name}, crash it")).expect("the line is right");
            assert!(matches!(op.when, When::On(occasion) if occasion.trigger == trigger));
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let cases = [
            ("at 5 crash n1", "1:4: `5` is not a duration"),
            ("at 1s krash n1", "1:7: `krash` is not a known verb: did you mean `crash`?"),
            ("at 1s crash n0", "1:13: `n0` is not a node"),
            ("at 1s crash", "1:12: the line ends here"),
            ("at 1s crash n1 for", "1:19: the line ends here"),
            ("at 1s crash n1 soon", "1:16: unexpected `soon`"),
            ("at 1s crash it", "`it` and `other` are nodes of a trigger"),
            ("at 1s crash n1 keep=some", "keep=none, keep=part or keep=all"),
            ("when n1 submit vote, crash it", "did you mean `submits vote`?"),
            ("when n1 goes down crash n2", "`,`"),
            ("when n1 goes down nth=0, crash n2", "counts from 1"),
            ("at 1s poll reads n1 every 0s", "write a longer duration"),
            ("at 1s load spike n1 count=10001", "count= is from 1 to 10000"),
            ("at 1s clock drift n1 300ppm", "+300ppm"),
            ("at 1s change leader n4", "an edit, like +n4"),
            ("at 1s corrupt header n1", "did you mean `headers`?"),
            ("at 1s put x", "1:11: `x` is not a key and its value, like x=1"),
            ("at 1s put n3=1", "a key and its value"),
            ("at 1s put x=nothing", "a key and its value"),
            ("at 1s cas x=1 2", "unexpected `2`: write `->`"),
            ("at 1s get x at n3", "1:13: unexpected `at`"),
            ("at 1s get x via n3 loca", "did you mean `local`?"),
        ];
        for (line, said) in cases {
            let error = read(line).expect_err(line).to_string();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
