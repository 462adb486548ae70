//! A talk: users, and messages between them, each delivered once. `chat` and `courier` both keep
//! one; here is what does not tell them apart.

pub mod desk;
pub mod machine;
pub mod message;
pub mod orders;
pub mod storm;
