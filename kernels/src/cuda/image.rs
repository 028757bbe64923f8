//! A kernel as the driver loads it: compiled for the exact chip by NVRTC, or the PTX that this program carries.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction};
use cudarc::nvrtc::Ptx as Code;

use super::fault::{Doing as _, Fault};
use super::{Chip, Found, nvrtc};
use crate::backend::OpenOptions;
use crate::cache::{Cache, Key};
use crate::source::{Ptx, Source, nvrtc_options};

/// The oldest chip that the PTX runs on.
const PTX_CHIP: Chip = Chip { major: 7, minor: 5 };

/// Whether there is any way to have kernels for this chip.
///
/// # Errors
/// Why not.
pub(super) fn can(found: &Found) -> Result<(), String> {
    let Chip { major, minor } = found.chip;
    let Chip { major: least_major, minor: least_minor } = PTX_CHIP;
    if found.chip >= PTX_CHIP || nvrtc::version().is_some() {
        return Ok(());
    }
    Err(format!(
        "a card of compute capability {major}.{minor} needs NVRTC to compile its kernels; without it cards from \
         {least_major}.{least_minor} on work"
    ))
}

/// Loads the kernel of a source, compiled with these macros.
///
/// # Errors
/// When there is none for this chip, or the driver refuses it.
pub(super) fn load(
    context: &Arc<CudaContext>,
    found: &Found,
    options: &OpenOptions,
    source: &Source,
    defines: &[String],
) -> Result<CudaFunction, Fault> {
    let id = found.info.id();
    let why_not = match machine_code(found, source, defines, &options.cache) {
        Ok(code) => match function(context, Code::from_binary(code), source.entry) {
            Ok(function) => {
                tracing::debug!("{id}: {} {defines:?}: compiled for its chip", source.entry);
                return Ok(function);
            }
            Err(fault) => format!("the driver refuses what NVRTC compiled for its chip: {fault}"),
        },
        Err(why_not) => why_not,
    };
    let Some(ptx) = Ptx::of(source, defines) else {
        return Err(Fault::Kernel(format!("there is no PTX of {} with {defines:?}, and {why_not}", source.entry)));
    };
    if found.chip < PTX_CHIP {
        let Chip { major, minor } = found.chip;
        return Err(Fault::Kernel(format!(
            "a card of compute capability {major}.{minor} needs NVRTC to compile its kernels ({why_not}); without it cards \
             from {}.{} on work",
            PTX_CHIP.major, PTX_CHIP.minor
        )));
    }
    tracing::debug!("{id}: {} {defines:?}: from PTX ({why_not})", source.entry);
    function(context, Code::from_src(ptx.text), source.entry)
}

fn function(context: &Arc<CudaContext>, code: Code, entry: &str) -> Result<CudaFunction, Fault> {
    let module = context.load_module(code).doing("loading the kernel")?;
    module.load_function(entry).doing("looking for the kernel's entry")
}

/// The kernel in the chip's own code, out of the cache if it was made before.
fn machine_code(found: &Found, source: &Source, defines: &[String], cache: &Cache) -> Result<Vec<u8>, String> {
    let Some((major, minor)) = nvrtc::version() else { return Err("NVRTC is not installed".to_owned()) };
    let options = nvrtc_options(&format!("sm_{}{}", found.chip.major, found.chip.minor), defines);
    let key = options.iter().fold(Key::new("cuda").with(source.text), Key::with);
    let key = key.with(format!("NVRTC {major}.{minor}")).with(&found.info.driver);
    if let Some(code) = cache.get(&key) {
        return Ok(code);
    }
    let code = nvrtc::machine_code(source.entry, source.text, &options)
        .map_err(|error| format!("NVRTC {major}.{minor} does not compile it: {error}"))?;
    cache.put(&key, &code);
    Ok(code)
}
