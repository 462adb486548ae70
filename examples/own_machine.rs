//! Your own state machine under chaos: the service, its clients' requests, its invariant, and a
//! command with everything that `cargo sim` does: `cargo run --example own_machine -- --help`.

use std::io::{self, Read};
use std::{env, process::ExitCode};

use quorate::{machine::StateMachine, types::Index};
use quorate_sim::workload::{Object, Workload};
use quorate_sim::{cli::main_over, observe::OpId, values::choice::Draw};

/// Four accounts with a hundred coins each.
#[derive(Clone)]
struct Bank([u8; 4]);

impl StateMachine for Bank {
    /// Moves coins from one account to another, at most as many as the first has and the second has
    /// room for. Replies with the number of coins moved.
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        let [from, to, coins] = [0, 1, 2].map(|at| command[at]);
        let moved = coins.min(self.0[from as usize]).min(u8::MAX - self.0[to as usize]);
        self.0[from as usize] -= moved;
        self.0[to as usize] += moved;
        vec![moved]
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.to_vec()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::Cursor::new(self.0))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        snapshot.read_exact(&mut self.0)
    }
}

#[derive(Clone)]
struct Transfers;

impl Workload for Transfers {
    type Machine = Bank;
    fn machine(&self) -> Bank {
        Bank([100; 4])
    }
    fn command(&self, _: OpId, draw: &mut Draw<'_>) -> Vec<u8> {
        vec![draw.below(4) as u8, draw.below(4) as u8, draw.below(60) as u8]
    }
    fn query(&self, _: OpId, _: &mut Draw<'_>) -> Vec<u8> {
        vec![]
    }
    /// The sequential object that linearizable requests must agree with: one bank.
    fn object(&self) -> Option<Object> {
        Some(Object::machine(|| Bank([100; 4])))
    }
    fn check_answer(&self, _: &[u8], answer: &[u8]) -> Result<(), String> {
        let coins: u32 = answer.iter().map(|coins| u32::from(*coins)).sum();
        (coins == 400).then_some(()).ok_or_else(|| format!("there are {coins} coins"))
    }
}

fn main() -> ExitCode {
    main_over("cargo run --example own_machine --", Transfers, env::args_os().skip(1))
}

#[test]
fn no_coin_is_lost() {
    quorate_sim::chaos::run(Transfers, 10..20).unwrap_or_else(|failure| panic!("{failure}"));
}
