//! The state machine: a register for each key, and the last answers to each client.
//!
//! The network may duplicate a request, and nodes forward requests. So each request carries its
//! client and its number, and a repeated one is answered from memory.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use quorate::machine::StateMachine;
use quorate::types::Index;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lin_kv::messages::{Code, error_body};

/// The maximum number of answers that are kept for each client. Once an answer is dropped, a
/// request with its number is neither executed nor answered; nor is a request with a lower number
/// that has no kept answer.
const ANSWERS_MAX: usize = 256;

/// A request that changes a register.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Request {
    pub(super) client: String,
    pub(super) number: u64,
    /// The JSON text of the key.
    pub(super) key: String,
    pub(super) operation: Operation,
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) enum Operation {
    Write(Value),
    Cas { from: Value, to: Value },
}

/// The registers, and the last answers to each client.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(super) struct Registers {
    values: BTreeMap<String, Value>,
    answered: BTreeMap<String, ClientAnswers>,
}

/// The last answers to one client, by request number.
#[derive(Debug, Default, Deserialize, Serialize)]
struct ClientAnswers {
    answers: BTreeMap<u64, Value>,
    /// The highest request number whose answer was dropped.
    forgotten: u64,
}

impl Registers {
    fn execute(&mut self, request: Request) -> Option<Value> {
        let Request { client, number, key, operation } = request;
        let answered = self.answered.entry(client).or_default();
        if let Some(answer) = answered.answers.get(&number) {
            return Some(answer.clone());
        }
        if number <= answered.forgotten {
            return None;
        }
        let answer = match (operation, self.values.get_mut(&key)) {
            (Operation::Write(value), _) => {
                self.values.insert(key, value);
                json!({ "type": "write_ok" })
            }
            (Operation::Cas { .. }, None) => error_body(Code::NoKey, "no such key"),
            (Operation::Cas { from, to }, Some(value)) if *value == from => {
                *value = to;
                json!({ "type": "cas_ok" })
            }
            (Operation::Cas { from, .. }, Some(value)) => {
                error_body(Code::Mismatch, &format!("the value is {value}, not {from}"))
            }
        };
        answered.answers.insert(number, answer.clone());
        if answered.answers.len() > ANSWERS_MAX
            && let Some((oldest, _)) = answered.answers.pop_first()
        {
            answered.forgotten = answered.forgotten.max(oldest);
        }
        Some(answer)
    }
}

impl StateMachine for Registers {
    /// Returns the body of the answer, or nothing if the answer was dropped.
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let request = serde_json::from_slice(command);
        let answer = request.ok().and_then(|request| self.execute(request));
        answer.map(|answer| answer.to_string().into_bytes()).unwrap_or_default()
    }

    /// Returns the value of a key as JSON, or nothing.
    fn query(&self, key: &[u8]) -> Vec<u8> {
        let value = self.values.get(&*String::from_utf8_lossy(key));
        value.map(|value| value.to_string().into_bytes()).unwrap_or_default()
    }

    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(serde_json::to_vec(self).expect("the registers are JSON")))
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        *self = serde_json::from_reader(snapshot)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(registers: &mut Registers, number: u64, operation: Operation) -> Option<Value> {
        let (client, key) = ("c1".to_owned(), "0".to_owned());
        let request = Request { client, number, key, operation };
        let command = serde_json::to_vec(&request).expect("valid JSON");
        let reply = registers.apply(Index(number), &command);
        (!reply.is_empty()).then(|| serde_json::from_slice(&reply).expect("valid JSON"))
    }

    fn kind(answer: Option<Value>) -> (String, Option<u64>) {
        let answer = answer.expect("an answer");
        (answer["type"].as_str().expect("a type").to_owned(), answer["code"].as_u64())
    }

    #[test]
    fn a_duplicate_request_is_executed_once() {
        let mut registers = Registers::default();
        apply(&mut registers, 1, Operation::Write(json!(1)));
        let swap = || Operation::Cas { from: json!(1), to: json!(2) };
        assert_eq!(kind(apply(&mut registers, 2, swap())), ("cas_ok".to_owned(), None));
        assert_eq!(kind(apply(&mut registers, 2, swap())), ("cas_ok".to_owned(), None));
        assert_eq!(kind(apply(&mut registers, 3, swap())), ("error".to_owned(), Some(22)));
        apply(&mut registers, 1, Operation::Write(json!(1)));
        assert_eq!(registers.query(b"0"), b"2");
    }

    #[test]
    fn a_request_whose_answer_was_dropped_is_not_executed() {
        let mut registers = Registers::default();
        for number in 1..=ANSWERS_MAX as u64 + 1 {
            apply(&mut registers, number, Operation::Write(json!(number)));
        }
        assert_eq!(apply(&mut registers, 1, Operation::Write(json!("late"))), None);
        assert_eq!(registers.query(b"0"), (ANSWERS_MAX + 1).to_string().into_bytes());
    }

    #[test]
    fn a_snapshot_is_restored() {
        let mut registers = Registers::default();
        apply(&mut registers, 1, Operation::Write(json!({ "a": [1, null] })));
        let mut other = Registers::default();
        other.restore(&mut registers.snapshot()).expect("a valid snapshot");
        assert_eq!(other.query(b"0"), br#"{"a":[1,null]}"#);
        assert_eq!(
            apply(&mut other, 1, Operation::Write(json!(2))),
            Some(json!({ "type": "write_ok" }))
        );
        assert_eq!(other.query(b"0"), br#"{"a":[1,null]}"#);
    }

    #[test]
    fn a_missing_key_is_an_error() {
        let swap = Operation::Cas { from: json!(1), to: json!(2) };
        let answer = apply(&mut Registers::default(), 1, swap);
        assert_eq!(kind(answer), ("error".to_owned(), Some(20)));
    }
}
