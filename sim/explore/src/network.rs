//! The messages that were ever sent, by number, and who gets each.

use quorate::types::Message;

use crate::intern::Interned;

/// Every message that was ever sent.
#[derive(Debug)]
pub(crate) struct Network {
    messages: Interned<Message>,
    receivers: Vec<usize>,
}

impl Network {
    pub(crate) fn new() -> Network {
        Network { messages: Interned::new(), receivers: Vec::new() }
    }

    /// The message's number.
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

    /// The place of the node that the message is for.
    pub(crate) fn receiver(&self, number: u32) -> usize {
        self.receivers[number as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}
