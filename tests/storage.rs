//! The log store on a disk that tears, loses and lies: everything reported durable is there after
//! any crash, and everything else is told from damage.

mod storage {
    mod crash;
    mod damage;
    mod formatting;
    mod golden;
    mod host;
    mod model;
    mod operators;
    mod random;
    mod working;
}
