//! A compiled program: from the cache, or from its source.

use std::ffi::CString;

use ocl::Result;
use ocl::core::{self, Program, ProgramInfo, ProgramInfoResult};

use super::{Handles, one_line};
use crate::cache::{Cache, Key};
use crate::source::Source;

/// A compiled program.
pub(super) struct Built {
    pub(super) program: Program,
    /// The entry of the cache that it does not come from.
    missing: Option<Key>,
}

impl Built {
    /// Takes a program from the cache or compiles it, with these options of the driver's compiler.
    pub(super) fn new(handles: &Handles, source: Source, options: &str, cache: &Cache) -> Result<Self> {
        let info = &handles.info;
        let key = Key::new("opencl").with(source.text).with(options).with(&info.name).with(&info.driver);
        let options = CString::new(options).expect("options have no zero byte");
        let devices = [handles.device];
        if let Some(binary) = cache.get(&key) {
            let built = core::create_program_with_binary(&handles.context, &devices, &[&binary]).and_then(|program| {
                core::build_program(&program, Some(&devices), &options, None, None).map(|()| program)
            });
            match built {
                Ok(program) => return Ok(Self { program, missing: None }),
                Err(error) => {
                    let error = one_line(&error);
                    tracing::warn!(
                        "{}: the driver refuses a cached kernel, which is compiled anew: {error}",
                        info.id()
                    );
                }
            }
        }
        let text = CString::new(source.text).expect("a source has no zero byte");
        let program = core::create_program_with_source(&handles.context, &[text])?;
        core::build_program(&program, Some(&devices), &options, None, None)?;
        Ok(Self { program, missing: Some(key) })
    }

    /// Keeps it for the next start, if it does not come from there; a driver that does not give it away is no obstacle.
    pub(super) fn keep(&self, cache: &Cache) {
        if let Some(key) = &self.missing
            && let Ok(ProgramInfoResult::Binaries(binaries)) =
                core::get_program_info(&self.program, ProgramInfo::Binaries)
            && let [binary] = &binaries[..]
            && !binary.is_empty()
        {
            cache.put(key, binary);
        }
    }
}
