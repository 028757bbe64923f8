//! A kernel as the driver loads it: compiled for the exact chip by NVRTC, or the PTX that this program carries.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction};
use cudarc::nvrtc::Ptx as Code;
use lode_kinds::hash::Algorithm;

use super::fault::{Doing as _, Fault};
use super::{Chip, Found, nvrtc};
use crate::cache::{Cache, Key};
use crate::source::{Ptx, nvrtc_options};

/// The oldest chip that the PTX runs on.
const PTX_CHIP: Chip = Chip { major: 7, minor: 5 };

/// Loads the algorithm's kernel.
///
/// # Errors
/// When there is none for this chip, or the driver refuses it.
pub(super) fn load(
    context: &Arc<CudaContext>,
    found: &Found,
    algorithm: Algorithm,
    cache: &Cache,
) -> Result<CudaFunction, Fault> {
    let id = found.info.id();
    let ptx = Ptx::of(algorithm);
    let why_not = match machine_code(found, &ptx, cache) {
        Ok(code) => match function(context, Code::from_binary(code), ptx.source.entry) {
            Ok(function) => {
                tracing::debug!("{id}: {}: compiled for its chip", ptx.source.entry);
                return Ok(function);
            }
            Err(fault) => format!("the driver refuses what NVRTC compiled for its chip: {fault}"),
        },
        Err(why_not) => why_not,
    };
    if found.chip < PTX_CHIP {
        let Chip { major, minor } = found.chip;
        return Err(Fault::Kernel(format!(
            "a card of compute capability {major}.{minor} needs NVRTC to compile its kernels ({why_not}); without it cards \
             from {}.{} on work",
            PTX_CHIP.major, PTX_CHIP.minor
        )));
    }
    tracing::debug!("{id}: {}: from PTX ({why_not})", ptx.source.entry);
    function(context, Code::from_src(ptx.text), ptx.source.entry)
}

fn function(context: &Arc<CudaContext>, code: Code, entry: &str) -> Result<CudaFunction, Fault> {
    let module = context.load_module(code).doing("loading the kernel")?;
    module.load_function(entry).doing("looking for the kernel's entry")
}

/// The kernel in the chip's own code, out of the cache if it was made before.
fn machine_code(found: &Found, ptx: &Ptx, cache: &Cache) -> Result<Vec<u8>, String> {
    let Some((major, minor)) = nvrtc::version() else { return Err("NVRTC is not installed".to_owned()) };
    let options = nvrtc_options(&format!("sm_{}{}", found.chip.major, found.chip.minor));
    let key = options.iter().fold(Key::new("cuda").with(ptx.source.text), Key::with);
    let key = key.with(format!("NVRTC {major}.{minor}")).with(&found.info.driver);
    if let Some(code) = cache.get(&key) {
        return Ok(code);
    }
    let code = nvrtc::machine_code(ptx.source.entry, ptx.source.text, &options)
        .map_err(|error| format!("NVRTC {major}.{minor} does not compile it: {error}"))?;
    cache.put(&key, &code);
    Ok(code)
}
