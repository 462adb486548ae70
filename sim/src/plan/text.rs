//! Parses and prints scenario lines: operations, and the conditions under which they run.

use std::fmt;
use std::time::Duration;

use crate::faults::{
    Argument, ExpectedAnswer, NodeSelector, ScriptedRequest, UNTIL_STABILIZATION, Verb,
};
use crate::plan::{Op, Plan, Trigger, TriggerCondition, When};
use crate::values::time::SimTime;
use crate::values::words::{Exact, SyntaxError, Words};

impl Op {
    /// The words that an operation begins with.
    pub(crate) const BEGINNINGS: [&'static str; 5] = ["at", "from", "to", "when", "whenever"];

    /// The words between `expect` and a request that gets no answer.
    pub(crate) const NO_ANSWER: &'static str = "no answer to";

    /// Parses the words after `expect`: a scripted request, which names its verb first and its time
    /// last.
    ///
    /// # Errors
    /// The first syntax error.
    pub(crate) fn expected(words: &mut Words<'_>) -> Result<Op, SyntaxError> {
        let no_answer = words.accept(Op::NO_ANSWER);
        let name = ScriptedRequest::NAMES[words.name("request", &ScriptedRequest::NAMES)?];
        let request = match no_answer {
            true => ScriptedRequest::unanswered(name, words)?,
            false => ScriptedRequest::expected(name, words)?,
        };
        words.need("at")?;
        let when = When::At(SimTime::default().after(words.duration()?));
        words.end()?;
        if matches!(request.via, Some(NodeSelector::It | NodeSelector::Other)) {
            return Err(words.error("`it` and `other` are nodes of a trigger: name a node"));
        }
        Ok(Op { when, verb: request.into() })
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
        let mut named = words.clone();
        let verb = Verb::read(words)?;
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
        if to < from {
            let text = "the end time is before the start time: write the earlier time first";
            return Err(words.error(text));
        }
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

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ops.iter().try_for_each(|op| writeln!(f, "{op}"))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (When::At(time), Verb::ScriptedRequest(request)) = (self.when, &self.verb) {
            let expected = match request.expected {
                ExpectedAnswer::Unspecified => None,
                ExpectedAnswer::Answer => Some("expect".to_owned()),
                ExpectedAnswer::NoAnswer => Some(format!("expect {}", Op::NO_ANSWER)),
            };
            if let Some(expected) = expected {
                return write!(f, "{expected} {request} at {}", Exact::at(time));
            }
        }
        let comma = if matches!(self.when, When::At(_)) { "" } else { "," };
        write!(f, "{}{comma} {}", self.when, self.verb)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            When::At(time) => write!(f, "at {}", Exact::at(time)),
            When::On(TriggerCondition { trigger, node, from, to, nth, times, delay }) => {
                if from > SimTime::default() {
                    write!(f, "from {} ", Exact::at(from))?;
                }
                if to < SimTime::default().after(UNTIL_STABILIZATION) {
                    write!(f, "to {} ", Exact::at(to))?;
                }
                f.write_str(if times > 1 { "whenever " } else { "when " })?;
                match node {
                    Some(node) => write!(f, "{node} {}", trigger.name())?,
                    None => write!(f, "any {}", trigger.name())?,
                }
                if nth > 1 {
                    write!(f, " nth={nth}")?;
                }
                if times > 1 && times < u32::MAX {
                    write!(f, " times={times}")?;
                }
                match delay {
                    Duration::ZERO => Ok(()),
                    delay => write!(f, " delay {}", Exact(delay)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quorate::types::NodeId;

    use crate::faults::{Call, FailedCall, Flap, OneWay, Rollback};

    use super::*;

    fn read(line: &str) -> Result<Op, SyntaxError> {
        Op::read(&mut Words::of(line, 1))
    }

    #[test]
    fn every_line_reads_as_it_prints() {
        for line in [
            "at 1s crash leader keep=part for 90ms",
            "when any becomes leader, get x via it 1.5s",
            "from 1s to 2s whenever n3 submits vote nth=2 times=3 delay 5ms, crash other",
        ] {
            let op = read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(op.to_string(), line);
        }
    }

    #[test]
    fn every_trigger_reads_as_it_prints() {
        for (trigger, name) in Trigger::ALL {
            let op = read(&format!("when any {name}, crash it")).expect("the line is right");
            assert!(matches!(op.when, When::On(condition) if condition.trigger == *trigger));
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let cases = [
            ("at 5 crash n1", "1:4: `5` is not a duration"),
            ("from 2s to 1s when n1 restarts, crash n1", "1:12: the end time is before"),
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

    #[test]
    fn operations_print_as_scenario_lines() {
        let ms = Duration::from_millis;
        let [from, to] = [1_200, 3_000].map(|millis| SimTime::default().after(ms(millis)));
        let vote = TriggerCondition::next(Trigger::SubmitsVote, from, to);
        let vote = When::On(TriggerCondition { node: Some(NodeId(3)), ..vote });
        let at = When::At(from);
        let (leader, n4) = (NodeSelector::Leader, NodeSelector::Node(NodeId(4)));
        let call = Call::FlushDirectory;
        let lines: [(When, Verb, &str); 5] = [
            (
                vote,
                OneWay::Cut(leader, n4, ms(90)).into(),
                "from 1.2s to 3s when n3 submits vote, cut leader -> n4 for 90ms",
            ),
            (
                at,
                FailedCall { node: n4, call, after: 2, sectors: 3 }.into(),
                "at 1.2s fail directory flush n4 after=2 sectors=3",
            ),
            (
                at,
                FailedCall { node: n4, call: Call::Read, after: 0, sectors: 0 }.into(),
                "at 1.2s fail read n4",
            ),
            (
                at,
                Rollback { node: leader, age: ms(5), down: ms(7) }.into(),
                "at 1.2s roll back leader by 5ms for 7ms",
            ),
            (
                at,
                Flap { ends: (n4, leader), period: ms(5), duration: UNTIL_STABILIZATION }.into(),
                "at 1.2s flap n4-leader every 5ms",
            ),
        ];
        for (when, verb, line) in lines {
            assert_eq!(Op { when, verb }.to_string(), line);
        }
    }
}
