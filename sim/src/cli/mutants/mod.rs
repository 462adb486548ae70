//! x
use crate::cli::args::MutantsArguments;
use crate::cli::exit::{Exit, Trouble};
pub(crate) fn go(_: &MutantsArguments) -> Result<Exit, Trouble> {
    Ok(Exit::Fine)
}
