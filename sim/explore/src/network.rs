//! The messages ever sent, with their numbers and receivers.

use quorate::types::Message;

use crate::intern::Interned;

/// Every message ever sent, with its receiver.
#[derive(Debug)]
pub(crate) struct Network {
    messages: Interned<Message>,
    receivers: Vec<usize>,
}

impl Network {
    pub(crate) fn new() -> Network {
        Network { messages: Interned::new(), receivers: Vec::new() }
    }

    /// Returns the number of the message.
    pub(crate) fn number(&mut self, message: Message) -> u32 {
        let place = usize::try_from(message.to.0 - 1).expect("the nodes are few");
        let (number, is_new) = self.messages.number(message);
        if is_new {
            self.receivers.push(place);
        }
        number
    }

    pub(crate) fn get(&self, number: u32) -> &Message {
        self.messages.get(number)
    }

    /// Returns the position of the node that receives the message.
    pub(crate) fn receiver(&self, number: u32) -> usize {
        self.receivers[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}
