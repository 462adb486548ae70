//! The state machine of every node: a few registers, and the commands that access them.

use std::sync::Arc;

use crate::disk::Bytes;

/// The number of registers.
pub(crate) const REGISTERS: usize = 4;

/// The state machine of a node: for each register the number of the operation that wrote it last.
/// The cluster runs one for each node; only a core that makes snapshots itself needs to see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine([u64; REGISTERS]);

impl Machine {
    /// Executes a command. A command of the core's own, which contains no operation, changes
    /// nothing.
    pub fn execute(&mut self, command: &[u8]) {
        if let Some(Operation { number, register, is_read: false }) = Operation::of(command) {
            self.0[register] = number;
        }
    }

    /// Applies the effect of later commands, where `later` is the state that these commands alone
    /// produce from the initial state.
    pub fn merge(&mut self, later: &Machine) {
        let written = self.0.iter_mut().zip(later.0).filter(|(_, number)| *number > 0);
        written.for_each(|(register, number)| *register = number);
    }

    pub(crate) fn value(&self, register: usize) -> u64 {
        self.0[register]
    }

    /// Returns the state as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        self.0.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    /// Returns the state machine with an encoded state, if it is one.
    #[must_use]
    pub fn decode(state: &[u8]) -> Option<Machine> {
        let (words, rest) = state.as_chunks::<8>();
        let values: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        Some(Machine(values.try_into().ok().filter(|_| rest.is_empty())?))
    }
}

/// The operation of a client that a command contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The number of the operation in the run, from 1.
    pub(crate) number: u64,
    pub(crate) register: usize,
    pub(crate) is_read: bool,
}

impl Operation {
    /// Returns the command of the operation, padded to at least `bytes` bytes.
    pub(crate) fn command(self, bytes: u64) -> Bytes {
        let Operation { number, register, is_read } = self;
        let word = (number * REGISTERS as u64 + register as u64) << 1 | u64::from(is_read);
        let mut command = word.to_le_bytes().to_vec();
        command.resize((bytes as usize).max(command.len()), 0);
        Arc::from(command)
    }

    /// Returns the operation of a command, if it has one.
    pub(crate) fn of(command: &[u8]) -> Option<Operation> {
        let word = u64::from_le_bytes(*command.first_chunk()?);
        let (number, register) = ((word >> 1) / REGISTERS as u64, (word >> 1) as usize % REGISTERS);
        Some(Operation { number, register, is_read: word & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_a_command_and_back() {
        for (number, register, is_read) in [(1, 0, false), (7_000, 3, true)] {
            let operation = Operation { number, register, is_read };
            assert_eq!(Operation::of(&operation.command(32)), Some(operation));
        }
        assert_eq!(Operation::of(&[]), None);
    }

    #[test]
    fn a_state_is_bytes_and_back() {
        let mut machine = Machine::default();
        machine.execute(&Operation { number: 9, register: 2, is_read: false }.command(16));
        machine.execute(&Operation { number: 10, register: 2, is_read: true }.command(16));
        machine.execute(&[]);
        machine.merge(&Machine([8, 0, 0, 0]));
        assert_eq!(machine.value(0), 8);
        assert_eq!(machine.value(2), 9);
        assert_eq!(Machine::decode(&machine.encode()), Some(machine));
        assert_eq!(Machine::decode(&[1]), None);
    }
}
