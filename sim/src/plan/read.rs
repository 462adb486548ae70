//! Reads what a plan prints: operations by their words, and who can do what.

use std::time::Duration;

use quorate::types::{Address, Change, NodeId};

use crate::plan::{
    Call, Errand, FOREVER, Keep, Occasion, Op, Region, Slip, Trigger, Verb, When, Who,
};
use crate::time::SimTime;
use crate::words::{self, Mistake, Words};

/// One verb: how it is written, and what it does.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The words that tell it from others: `crash`, `slow disk`.
    pub verb: &'static str,
    /// What follows them: `WHO [keep=part|all] [for SPAN]`.
    pub takes: &'static str,
    /// What it does, in a sentence.
    pub does: &'static str,
    read: fn(&mut Words<'_>) -> Result<Verb, Mistake>,
}

macro_rules! verbs {
    ($($verb:literal $takes:literal $does:literal $read:expr;)*) => {
        /// Every verb.
        pub static VERBS: &[Usage] =
            &[$(Usage { verb: $verb, takes: $takes, does: $does, read: $read }),*];
    };
}

verbs! {
    "crash" "WHO [keep=part|all] [for SPAN]"
        "The node loses its memory and what it has not flushed, or keeps a part or all of that, \
         and starts again."
        |w| Ok(Verb::Crash(Who::read(w)?, keep(w)?, lasting(w)?));
    "stop" "WHO [for SPAN]"
        "The node stops in good order, and starts again."
        |w| Ok(Verb::Stop(Who::read(w)?, lasting(w)?));
    "pause" "WHO [for SPAN]"
        "The node does nothing; what reaches it meanwhile it gets late, all at once."
        |w| Ok(Verb::Pause(Who::read(w)?, lasting(w)?));
    "wipe" "WHO [for SPAN]"
        "The node loses its disk, and starts on an empty one. Nothing happens if that cannot be \
         borne."
        |w| Ok(Verb::Wipe(Who::read(w)?, lasting(w)?));
    "roll back" "WHO by SPAN [for SPAN]"
        "The node starts, after the second span, on its disk as it is now: after the first one."
        |w| Ok(Verb::Rollback(Who::read(w)?, by(w)?, lasting(w)?));
    "isolate" "WHO [for SPAN]"
        "The node neither hears nor is heard."
        |w| Ok(Verb::Isolate(Who::read(w)?, lasting(w)?));
    "deafen" "WHO [for SPAN]"
        "The node hears nobody, but is heard."
        |w| Ok(Verb::Deafen(Who::read(w)?, lasting(w)?));
    "mute" "WHO [for SPAN]"
        "The node hears, but is not heard."
        |w| Ok(Verb::Mute(Who::read(w)?, lasting(w)?));
    "strand" "WHO with WHO [for SPAN]"
        "The first node keeps its links with the second alone."
        strand;
    "cut" "WHO -> WHO [for SPAN]"
        "What the first node sends does not reach the second."
        cut;
    "split" "WHO.. [for SPAN]"
        "These nodes and the others do not hear one another."
        |w| Ok(Verb::Split(several(w, "a node", Who::of)?, lasting(w)?));
    "only" "NODE-NODE.. [for SPAN]"
        "Only these pairs of nodes hear one another."
        |w| Ok(Verb::Only(several(w, "a pair of nodes, like n1-n2", pair)?, lasting(w)?));
    "flap" "WHO-WHO every SPAN [for SPAN]"
        "The link between the two goes down and up again, each time for the first span."
        flap;
    "clog" "WHO [for SPAN]"
        "Nothing the node sends arrives until the end; then all of it does."
        |w| Ok(Verb::Clog(Who::read(w)?, lasting(w)?));
    "drift" "WHO +N|-N ppm [for SPAN]"
        "The node's clock runs fast, or slow, by so many parts per million."
        |w| Ok(Verb::Drift(Who::read(w)?, ppm(w)?, lasting(w)?));
    "jump" "WHO by SPAN"
        "The node's clock jumps ahead."
        |w| Ok(Verb::Jump(Who::read(w)?, by(w)?));
    "slow disk" "WHO by SPAN [for SPAN]"
        "Each of the node's flushes takes longer by the first span."
        |w| Ok(Verb::SlowDisk(Who::read(w)?, by(w)?, lasting(w)?));
    "slow apply" "WHO by SPAN [for SPAN]"
        "Each batch takes the node's state machine longer by the first span."
        |w| Ok(Verb::SlowApply(Who::read(w)?, by(w)?, lasting(w)?));
    "stray" "WHO [count=N]"
        "So many messages that no correct node would send reach the node."
        |w| Ok(Verb::Stray(Who::read(w)?, count(w)?));
    "replay" "WHO [count=N]"
        "So many old messages reach the node again."
        |w| Ok(Verb::Replay(Who::read(w)?, count(w)?));
    "campaign" "WHO"
        "The node campaigns, although its leader may be well."
        |w| Ok(Verb::Campaign(Who::read(w)?));
    "surge" "WHO [count=N]"
        "So many commands reach the node at once."
        |w| Ok(Verb::Surge(Who::read(w)?, count(w)?));
    "consult" "WHO every SPAN [for SPAN]"
        "Somebody reads at the node, at once and after every first span."
        |w| Ok(Verb::Consult(Who::read(w)?, every(w)?, lasting(w)?));
    "fail" "CALL WHO [after=N] [sectors=N]"
        "A call of the node to its disk fails, after so many others of the kind, with so many \
         sectors of it done."
        fail;
    "fill disk" "WHO [room=BYTES] [for SPAN]"
        "The node's disk has room for so many bytes more."
        |w| Ok(Verb::Fill(Who::read(w)?, w.given("room")?.unwrap_or(0), lasting(w)?));
    "stall disk" "WHO [for SPAN]"
        "The node's disk does nothing."
        |w| Ok(Verb::Stall(Who::read(w)?, lasting(w)?));
    "rot" "REGION WHO"
        "Bits flip in that region of the node's disk."
        |w| { let region = Region::read(w)?; Ok(Verb::Rot(Who::read(w)?, region)) };
    "misdirect write" "WHO to REGION [after=N]"
        "A write of the node, after so many others, hits that region of its disk instead."
        misdirect;
    "lose write" "WHO [after=N]"
        "A write of the node, after so many others, is not stored."
        |w| Ok(Verb::LoseWrite(Who::read(w)?, w.given("after")?.unwrap_or(0)));
    "change" "WHO EDIT.."
        "The node is asked to change the membership: `+n4` votes, `?n4` learns, `~n4` is \
         suspended, `-n4` is no member, `n4!200` has this priority, `n4@host-4` this address, \
         `casting=n4` or `casting=nobody` the casting vote; `nothing` asks for no change."
        |w| Ok(Verb::Change(Who::read(w)?, change(w)?));
    "give up change" "WHO"
        "The node is asked to give up the change under way."
        |w| Ok(Verb::GiveUp(Who::read(w)?));
    "transfer" "WHO [to NODE]"
        "The node is asked to let another one lead: this one, or the best."
        transfer;
    "slip" "WHO SLIP"
        "The node's state machine errs, with the next command."
        |w| { let who = Who::read(w)?; Ok(Verb::Slip(who, Slip::read(w)?)) };
    "put" "KEY=VALUE [via WHO]"
        "A client gives the key the value; it asks that node first."
        |w| Ok(Verb::Ask(Errand::put(w)?));
    "cas" "KEY=VALUE -> VALUE [via WHO]"
        "A client gives the key the second value if it has the first, or `nothing`."
        |w| Ok(Verb::Ask(Errand::swap(w)?));
    "get" "KEY [via WHO] [LEVEL]"
        "A client reads the key, at that node alone."
        |w| Ok(Verb::Ask(Errand::get(w)?));
}

impl Op {
    /// The words that an operation begins with.
    pub(crate) const BEGINNINGS: [&'static str; 5] = ["at", "from", "to", "when", "whenever"];

    /// The errand that the words after `expect` are, which name it first and its time last.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn expected(words: &mut Words<'_>) -> Result<Op, Mistake> {
        let name = Errand::NAMES[words.name("errand", &Errand::NAMES)?];
        let errand = Errand::expected(name, words)?;
        words.need("at")?;
        let when = When::At(SimTime::default().after(words.duration()?));
        words.end()?;
        if matches!(errand.via, Some(Who::It | Who::Other)) {
            return Err(words.wrong("`it` and `other` are nodes of a trigger: name a node"));
        }
        Ok(Op { when, verb: Verb::Ask(errand) })
    }

    /// The operation that the words are.
    ///
    /// # Errors
    /// The first mistake.
    pub(crate) fn read(words: &mut Words<'_>) -> Result<Op, Mistake> {
        let when = When::read(words)?;
        if !matches!(when, When::At(_)) {
            words.need(",")?;
        }
        let names: Vec<&str> = VERBS.iter().map(|usage| usage.verb).collect();
        let usage = &VERBS[words.name("verb", &names)?];
        let mut named = words.clone();
        let verb = (usage.read)(words)?;
        words.end()?;
        while matches!(when, When::At(_)) && !named.is_empty() {
            let of_trigger = |part: &str| matches!(Who::of(part), Some(Who::It | Who::Other));
            if named.word("a node")?.split('-').any(of_trigger) {
                let text = "`it` and `other` are nodes of a trigger: name a node, or write `when`";
                return Err(named.wrong(text));
            }
        }
        Ok(Op { when, verb })
    }
}

impl When {
    fn read(words: &mut Words<'_>) -> Result<When, Mistake> {
        let start = SimTime::default();
        if words.accept("at") {
            return Ok(When::At(start.after(words.duration()?)));
        }
        let from = if words.accept("from") { words.duration()? } else { Duration::ZERO };
        let to = if words.accept("to") { words.duration()? } else { FOREVER };
        let again = words.name("time or trigger", &["when", "whenever"])? == 1;
        let by = if words.accept("any") { None } else { Some(words.node()?) };
        let trigger = Trigger::read(words)?;
        let nth = words.given("nth")?.unwrap_or(1);
        let times = if again { words.given("times")?.unwrap_or(u32::MAX) } else { 1 };
        let later = if words.accept("later") { words.duration()? } else { Duration::ZERO };
        if nth == 0 || times == 0 || again && times == 1 {
            let text = "nth= counts from 1, and whatever happens once is written with `when`";
            return Err(words.wrong(text));
        }
        let (from, to) = (start.after(from), start.after(to));
        Ok(When::On(Occasion { trigger, by, from, to, nth, times, later }))
    }
}

/// How long it lasts: to the end of the storm if nothing is said.
fn lasting(words: &mut Words<'_>) -> Result<Duration, Mistake> {
    if words.accept("for") { words.duration() } else { Ok(FOREVER) }
}

fn by(words: &mut Words<'_>) -> Result<Duration, Mistake> {
    words.need("by")?;
    words.duration()
}

/// A period: never zero, which would never end.
fn every(words: &mut Words<'_>) -> Result<Duration, Mistake> {
    words.need("every")?;
    let period = words.duration()?;
    if period.is_zero() {
        return Err(words.wrong("nothing happens every 0s: write a longer span"));
    }
    Ok(period)
}

/// How many: one if nothing is said.
fn count(words: &mut Words<'_>) -> Result<u32, Mistake> {
    const MOST: u32 = 10_000;
    let count = words.given("count")?.unwrap_or(1);
    match count {
        1..=MOST => Ok(count),
        _ => Err(words.wrong(format!("count= is from 1 to {MOST}: write several lines for more"))),
    }
}

fn keep(words: &mut Words<'_>) -> Result<Keep, Mistake> {
    let part = |word: &str| {
        let name = word.strip_prefix("keep=")?;
        Keep::ALL.iter().find(|(_, known)| *known == name).map(|(keep, _)| *keep)
    };
    match words.peek().is_some_and(|word| word.starts_with("keep=")) {
        true => words.read("keep=none, keep=part or keep=all", part),
        false => Ok(Keep::None),
    }
}

/// All words up to `for` or the end, at least one.
fn several<T>(
    words: &mut Words<'_>,
    what: &str,
    one: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, Mistake> {
    let mut all = vec![words.read(what, &one)?];
    while words.peek().is_some_and(|word| word != "for") {
        all.push(words.read(what, &one)?);
    }
    Ok(all)
}

fn pair(word: &str) -> Option<(NodeId, NodeId)> {
    let (one, other) = word.split_once('-')?;
    Some((words::node(one)?, words::node(other)?))
}

fn strand(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let who = Who::read(words)?;
    words.need("with")?;
    Ok(Verb::Strand(who, Who::read(words)?, lasting(words)?))
}

fn cut(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let from = Who::read(words)?;
    words.need("->")?;
    Ok(Verb::Cut(from, Who::read(words)?, lasting(words)?))
}

fn flap(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let ends = |word: &str| {
        let (one, other) = word.split_once('-')?;
        Some((Who::of(one)?, Who::of(other)?))
    };
    let (one, other) = words.read("two nodes, like n1-n2 or n1-leader", ends)?;
    Ok(Verb::Flap(one, other, every(words)?, lasting(words)?))
}

fn ppm(words: &mut Words<'_>) -> Result<i32, Mistake> {
    let read = |word: &str| {
        let signed = word.strip_suffix("ppm").filter(|word| word.starts_with(['+', '-']))?;
        // A clock that runs back, or twice as fast, is no clock any more.
        signed.parse().ok().filter(|ppm| (-500_000..=500_000).contains(ppm))
    };
    words.read("a drift of up to 500000 millionths, like +300ppm or -300ppm", read)
}

fn fail(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let call = Call::read(words)?;
    let who = Who::read(words)?;
    let after = words.given("after")?.unwrap_or(0);
    Ok(Verb::Fail(who, call, after, words.given("sectors")?.unwrap_or(0)))
}

fn misdirect(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let who = Who::read(words)?;
    words.need("to")?;
    let region = Region::read(words)?;
    Ok(Verb::Misdirect(who, region, words.given("after")?.unwrap_or(0)))
}

fn transfer(words: &mut Words<'_>) -> Result<Verb, Mistake> {
    let who = Who::read(words)?;
    let to = if words.accept("to") { Some(words.node()?) } else { None };
    Ok(Verb::Transfer(who, to))
}

fn change(words: &mut Words<'_>) -> Result<Change, Mistake> {
    let mut change = Change::new();
    if words.accept("nothing") {
        return Ok(change);
    }
    loop {
        let what = "an edit, like +n4, ?n4, ~n4, -n4, n4!200, n4@host-4 or casting=n4";
        change = words.read(what, |word| edited(change.clone(), word))?;
        if words.is_empty() {
            return Ok(change);
        }
    }
}

/// The change with one more edit.
fn edited(change: Change, word: &str) -> Option<Change> {
    let rest = |sign: char| word.strip_prefix(sign).and_then(words::node);
    if let Some(holder) = word.strip_prefix("casting=") {
        let nobody = holder == "nobody";
        return (nobody || words::node(holder).is_some())
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

    fn read(line: &str) -> Result<Op, Mistake> {
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
        "at 1s deafen n1 for 1.5s",
        "at 1s mute n1 for 90ms",
        "at 1s strand leader with n2 for 90ms",
        "at 1s cut n1 -> leader for 90ms",
        "at 1s split n1 leader for 90ms",
        "at 1s only n1-n2 n2-n3 for 90ms",
        "at 1s flap n1-leader every 5ms for 90ms",
        "at 1s clog n1 for 90ms",
        "at 1s drift n1 -300ppm for 90ms",
        "at 1s jump n1 by 90ms",
        "at 1s slow disk n1 by 5ms for 90ms",
        "at 1s slow apply n1 by 5ms for 90ms",
        "at 1s stray n1 count=3",
        "at 1s replay n1",
        "at 1s campaign n1",
        "at 1s surge leader count=30",
        "at 1s consult n1 every 5ms for 90ms",
        "at 1s fail directory flush n1 after=1 sectors=2",
        "at 1s fill disk n1 room=512 for 90ms",
        "at 1s stall disk n1 for 90ms",
        "at 1s rot headers n1",
        "at 1s misdirect write n1 to bodies after=1",
        "at 1s lose write n1 after=1",
        "at 1s change leader +n4 ?n5 ~n3 -n2 n1!200 n1@host-1 casting=n4",
        "at 1s change leader nothing",
        "at 1s give up change leader",
        "at 1s transfer leader to n2",
        "at 1s slip n1 skips command",
        "at 1s put x=1 via n2",
        "at 1s cas x=1 -> 2",
        "at 1s cas x=nothing -> 2 via leader",
        "at 1s get x via n3 local",
        "when any becomes leader, get x via it 1.5s",
        "from 1s to 2s whenever n3 submits vote nth=2 times=3 later 5ms, crash other",
    ];

    #[test]
    fn every_verb_reads_as_it_prints() {
        for line in LINES {
            let op = read(line).unwrap_or_else(|mistake| panic!("{line}: {mistake}"));
            assert_eq!(op.to_string(), line);
        }
        for Usage { verb, .. } in VERBS {
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
    fn mistakes_say_what_to_do() {
        let cases = [
            ("at 5 crash n1", "1:4: `5` is not a span of time"),
            ("at 1s krash n1", "1:7: `krash` is no verb: did you mean `crash`?"),
            ("at 1s crash n0", "1:13: `n0` is not a node"),
            ("at 1s crash", "1:12: the line ends here"),
            ("at 1s crash n1 for", "1:19: the line ends here"),
            ("at 1s crash n1 soon", "1:16: `soon` is too much here"),
            ("at 1s crash it", "`it` and `other` are nodes of a trigger"),
            ("at 1s crash n1 keep=some", "keep=none, keep=part or keep=all"),
            ("when n1 submit vote, crash it", "did you mean `submits vote`?"),
            ("when n1 falls crash n2", "`,`"),
            ("when n1 falls nth=0, crash n2", "counts from 1"),
            ("at 1s consult n1 every 0s", "write a longer span"),
            ("at 1s surge n1 count=10001", "count= is from 1 to 10000"),
            ("at 1s drift n1 300ppm", "+300ppm"),
            ("at 1s change leader n4", "an edit, like +n4"),
            ("at 1s rot header n1", "did you mean `headers`?"),
            ("at 1s put x", "1:11: `x` is not a key and its value, like x=1"),
            ("at 1s put n3=1", "a key and its value"),
            ("at 1s put x=nothing", "a key and its value"),
            ("at 1s cas x=1 2", "`2` stands where `->` belongs"),
            ("at 1s get x at n3", "1:13: `at` is too much here"),
            ("at 1s get x via n3 loca", "did you mean `local`?"),
        ];
        for (line, said) in cases {
            let mistake = read(line).expect_err(line).to_string();
            assert!(mistake.contains(said), "{line}: {mistake}");
        }
    }
}
