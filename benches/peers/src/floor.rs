//! A lower bound, the work of any replication: logs with a copy of each command, the length of each
//! log, and the median of these lengths as the commit index.

use std::collections::VecDeque;

use crate::{BYTES, Cluster};

pub struct Nodes {
    logs: Vec<Vec<Box<[u8]>>>,
    messages: VecDeque<(usize, Vec<Box<[u8]>>)>,
    replies: VecDeque<(usize, usize)>,
    matched: Vec<usize>,
    committed: usize,
    sent: u64,
}

impl Nodes {
    pub fn start(nodes: usize) -> Nodes {
        Nodes {
            logs: vec![Vec::new(); nodes],
            messages: VecDeque::new(),
            replies: VecDeque::new(),
            matched: vec![0; nodes],
            committed: 0,
            sent: 0,
        }
    }
}

impl Cluster for Nodes {
    fn commit(&mut self, batch: usize) {
        let commands = vec![Box::from(&BYTES[..]); batch];
        for follower in 1..self.logs.len() {
            self.messages.push_back((follower, commands.clone()));
        }
        self.logs[0].extend(commands);
        self.matched[0] = self.logs[0].len();
        while let Some((follower, commands)) = self.messages.pop_front() {
            self.sent += 2;
            self.logs[follower].extend(commands);
            self.replies.push_back((follower, self.logs[follower].len()));
        }
        while let Some((follower, length)) = self.replies.pop_front() {
            self.matched[follower] = length;
            let mut sorted = [0; 8];
            sorted[..self.matched.len()].copy_from_slice(&self.matched);
            let sorted = &mut sorted[..self.matched.len()];
            sorted.sort_unstable();
            self.committed = sorted[sorted.len() / 2];
        }
        assert_eq!(self.committed, self.logs[0].len(), "every command is committed");
    }

    fn messages(&self) -> u64 {
        self.sent
    }
}
