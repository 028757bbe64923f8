//! NVIDIA's run-time compiler, where it is installed: kernels for the exact chip.

use std::ffi::{CStr, CString, c_char};
use std::sync::OnceLock;

use cudarc::nvrtc::{result, sys};

/// Every function of NVRTC that is called; one without any of them is not used, see `driver`.
const FUNCTIONS: &[&str] = &[
    "nvrtcCompileProgram",
    "nvrtcCreateProgram",
    "nvrtcDestroyProgram",
    "nvrtcGetCUBIN",
    "nvrtcGetCUBINSize",
    "nvrtcGetProgramLog",
    "nvrtcGetProgramLogSize",
    "nvrtcVersion",
];

/// Its version; `None` where it is not installed, or too old to make machine code.
pub(super) fn version() -> Option<(i32, i32)> {
    static VERSION: OnceLock<Option<(i32, i32)>> = OnceLock::new();
    *VERSION.get_or_init(|| {
        // SAFETY: the library is opened and closed, and nothing of it is called; it is made for being opened so.
        if !unsafe { sys::is_culib_present() } {
            return None;
        }
        // SAFETY: the library is there, as was just seen, so this opens it and keeps it open.
        let library = unsafe { sys::culib() };
        // SAFETY: the addresses are not used.
        let has = |function: &&str| unsafe { library.get::<*const ()>(*function) }.is_ok();
        if !FUNCTIONS.iter().all(has) {
            return None;
        }
        let (mut major, mut minor) = (0, 0);
        // SAFETY: the places for the numbers are ours.
        unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) }.result().ok().map(|()| (major, minor))
    })
}

/// Compiles to machine code; [`version`] has answered that this can be done.
///
/// # Errors
/// What the compiler says, in one line.
pub(super) fn machine_code(name: &str, text: &str, options: &[String]) -> Result<Vec<u8>, String> {
    let program = Program::new(name, text)?;
    // SAFETY: the program was created and not destroyed.
    unsafe { result::compile_program(program.handle, options) }.map_err(|error| program.complaint(error))?;
    let mut length = 0;
    // SAFETY: the program was compiled for a real architecture, and the place for the length is ours.
    unsafe { sys::nvrtcGetCUBINSize(program.handle, &raw mut length) }.result().map_err(|error| error.to_string())?;
    let mut code = vec![0_u8; length];
    // SAFETY: as above; the place is as long as NVRTC said.
    unsafe { sys::nvrtcGetCUBIN(program.handle, code.as_mut_ptr().cast()) }
        .result()
        .map_err(|error| error.to_string())?;
    Ok(code)
}

struct Program {
    handle: sys::nvrtcProgram,
    /// What the program refers to while it lives.
    _text: (CString, CString),
}

impl Program {
    fn new(name: &str, text: &str) -> Result<Self, String> {
        let owned = |text: &str| CString::new(text).map_err(|error| error.to_string());
        let (name, text) = (owned(name)?, owned(text)?);
        let handle = result::create_program(&text, Some(&name)).map_err(|error| error.to_string())?;
        Ok(Self { handle, _text: (name, text) })
    }

    /// The first line of the compiler's log, or the error alone.
    fn complaint(&self, error: result::NvrtcError) -> String {
        // SAFETY: the program was created and not destroyed.
        let log = unsafe { result::get_program_log(self.handle) }.unwrap_or_default();
        let bytes: Vec<u8> = log.iter().map(|c: &c_char| c.cast_unsigned()).collect();
        let log = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy).unwrap_or_default();
        let first = log.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
        if first.is_empty() { error.to_string() } else { format!("{error}: {first}") }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: the program was created, and is not used again. A refusal leaks it, which harms nobody.
        unsafe { result::destroy_program(self.handle) }.ok();
    }
}
