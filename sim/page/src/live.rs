//! What a page of a living cluster shares with that of a run: its style and parts of its script.

/// The style of every page.
pub const STYLE: &str = include_str!("../assets/style/base.css");

/// Elements, words, colours, ladders and bars, in the order in which they need one another.
pub const PARTS: [&str; 5] = [
    include_str!("../assets/parts/elements.js"),
    include_str!("../assets/parts/words.js"),
    include_str!("../assets/parts/paint.js"),
    include_str!("../assets/parts/ladder.js"),
    include_str!("../assets/parts/bar.js"),
];
