//! The links that an operation blocks or delays.

use quorate::types::NodeId;

use crate::faults::selector::NodeSelector;

/// Selects directed links by their sender and their receiver.
pub(crate) type LinkSelector = Box<dyn Fn(NodeId, NodeId) -> bool>;

/// Finds the node that a selector means, if there is one.
pub(crate) type Resolve<'a> = &'a dyn Fn(NodeSelector) -> Option<NodeId>;

#[cfg(test)]
mod tests {
    use crate::faults::Verb;
    use crate::values::words::Words;

    use super::*;

    #[test]
    fn an_operation_selects_links() {
        let cases = [
            ("isolate n1", "n1->n2 n1->n3 n2->n1 n3->n1"),
            ("block inbound leader", "n1->n2 n3->n2"),
            ("block outbound n1", "n1->n2 n1->n3"),
            ("strand n1 with n3", "n1->n2 n2->n1"),
            ("cut n1 -> n3", "n1->n3"),
            ("split n1 n3", "n1->n2 n2->n1 n2->n3 n3->n2"),
            ("only n1-n2", "n1->n3 n2->n3 n3->n1 n3->n2"),
            ("flap n2-n3 every 1s", "n2->n3 n3->n2"),
            ("clog n1", "n1->n2 n1->n3"),
        ];
        let resolve = |selector| match selector {
            NodeSelector::Node(node) => Some(node),
            _ => Some(NodeId(2)),
        };
        for (line, expected) in cases {
            let selected = match Verb::read(&mut Words::of(line, 1)).expect("the line is valid") {
                Verb::Partition(partition) => partition.blocks(&resolve),
                Verb::OneWay(one_way) => one_way.blocks(&resolve),
                Verb::Bridge(bridge) => bridge.blocks(&resolve),
                Verb::Flap(flap) => flap.blocks(&resolve),
                Verb::Clog(clog) => clog.delays(&resolve),
                other => panic!("{other} selects no links"),
            };
            let selected = selected.expect("its nodes are known");
            let pairs = (1..=3).flat_map(|from| (1..=3).map(move |to| (NodeId(from), NodeId(to))));
            let links = pairs.filter(|(from, to)| from != to && selected(*from, *to));
            let links: Vec<String> = links.map(|(from, to)| format!("{from}->{to}")).collect();
            assert_eq!(links.join(" "), expected, "{line}");
        }
    }
}
