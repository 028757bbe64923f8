//! What goes wrong on a card.

use std::ffi::CStr;
use std::time::Duration;

use cudarc::driver::DriverError;
use cudarc::driver::sys::CUresult;

/// What went wrong on a card.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The driver reported it.
    #[error("{doing}: {}", text(*.error))]
    Driver {
        /// At what.
        doing: &'static str,
        /// What it reported.
        error: DriverError,
    },
    /// The card has not as much memory.
    #[error("not enough memory for {what}: {needed_bytes} bytes are needed, {}", free(.free_bytes))]
    Memory {
        /// For what.
        what: &'static str,
        /// As much as that would take.
        needed_bytes: u64,
        /// As much as there is.
        free_bytes: Option<u64>,
    },
    /// Neither an end of what it was given to do nor an error.
    #[error("the card has not answered for {} s", .0.as_secs())]
    Silent(Duration),
    /// It failed, got a new context, and failed again.
    #[error("{first}; and in a new context: {again}")]
    Twice {
        /// How it failed first.
        first: Box<Self>,
        /// How it failed then.
        again: Box<Self>,
    },
    /// There is no kernel that runs on it.
    #[error("{0}")]
    Kernel(String),
}

impl Fault {
    /// Whether what failed may work in a new context: the driver gives up a context with many errors, and not the card.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Driver { .. })
    }

    /// Whether only this launch was refused, and the context is as sound as before.
    pub(super) const fn is_refusal(&self) -> bool {
        let Self::Driver { error, .. } = self else { return matches!(self, Self::Memory { .. }) };
        matches!(error.0, CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES)
    }
}

fn free(bytes: &Option<u64>) -> String {
    bytes.map_or_else(
        || "and the card does not tell how many can be had".to_owned(),
        |bytes| format!("{bytes} can be had"),
    )
}

/// Says at what a call to the driver failed.
pub(super) trait Doing<T> {
    /// With what was being done.
    fn doing(self, doing: &'static str) -> Result<T, Fault>;
}

impl<T> Doing<T> for Result<T, DriverError> {
    fn doing(self, doing: &'static str) -> Result<T, Fault> {
        self.map_err(|error| Fault::Driver { doing, error })
    }
}

/// An error in the driver's words, with what they mean for the user where that is known.
pub(super) fn text(error: DriverError) -> String {
    let name = error.0;
    let words = error.error_string().map_or("no description".into(), CStr::to_string_lossy);
    let advice = match name {
        CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION => {
            "; the driver is too old for these kernels: R530 (CUDA 12.1) and later take them"
        }
        CUresult::CUDA_ERROR_NO_DEVICE | CUresult::CUDA_ERROR_INVALID_DEVICE => "; the card is gone",
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => "; another program has the card to itself",
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => "; the driver was updated: restart the machine",
        CUresult::CUDA_ERROR_LAUNCH_TIMEOUT => "; a card with a display ends launches that take long",
        _ => "",
    };
    let number = name as u32;
    format!("{words} ({name:?}, {number}){advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_says_how_much() {
        let fault = Fault::Memory { what: "scratch", needed_bytes: 4096, free_bytes: Some(100) };
        assert_eq!(fault.to_string(), "not enough memory for scratch: 4096 bytes are needed, 100 can be had");
        assert!(!fault.may_pass());
    }

    #[test]
    fn a_silent_card_is_not_tried_again() {
        let fault = Fault::Silent(Duration::from_secs(60));
        assert_eq!(fault.to_string(), "the card has not answered for 60 s");
        assert!(!fault.may_pass());
    }
}
