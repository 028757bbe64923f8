//! Sponsors: who pays, and the operator's calls that create and fund them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AMOUNT_MAX, Amount, FieldError, Fields};
use crate::ids::{AssetName, SponsorName};

/// Most characters of a deposit's reference.
pub const REFERENCE_CHARS_MAX: usize = 128;

/// `POST /admin/sponsors`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSponsor {
    /// Its name.
    pub name: SponsorName,
}

impl NewSponsor {
    /// Reads a request body.
    ///
    /// # Errors
    /// Every field that is missing, unknown or wrong.
    pub fn from_json(body: Value) -> Result<NewSponsor, Vec<FieldError>> {
        let mut fields = Fields::of(body, "")?;
        let name = fields.text("name");
        fields.finish()?;
        Ok(NewSponsor { name: name.expect("finish has returned every fault") })
    }
}

/// The answer to it; the key is shown this once and kept as a hash only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SponsorCreated {
    /// Its name.
    pub name: SponsorName,
    /// The bearer key.
    pub key: String,
}

/// `POST /admin/deposits`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositRequest {
    /// Who is credited.
    pub sponsor: SponsorName,
    /// What.
    pub asset: AssetName,
    /// How much.
    pub amount: Amount,
    /// What the money came by; a deposit counts once for each reference.
    pub reference: String,
}

impl DepositRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Every field that is missing, unknown or wrong.
    pub fn from_json(body: Value) -> Result<DepositRequest, Vec<FieldError>> {
        let mut fields = Fields::of(body, "")?;
        let sponsor = fields.text("sponsor");
        let asset = fields.text("asset");
        let amount = fields.integer("amount", 1, AMOUNT_MAX);
        let reference = fields.text_with("reference", |text| {
            let fits = (1..=REFERENCE_CHARS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
            if fits { Ok(text.to_owned()) } else { Err("must have 1 to 128 printable characters") }
        });
        fields.finish()?;
        let read = || {
            Some(DepositRequest { sponsor: sponsor?, asset: asset?, amount: Amount(amount?), reference: reference? })
        };
        Ok(read().expect("finish has returned every fault"))
    }
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepositView {
    /// Who was credited.
    pub sponsor: SponsorName,
    /// What.
    pub asset: AssetName,
    /// How much.
    pub amount: Amount,
    /// What the money came by.
    pub reference: String,
    /// The sponsor's balance after it.
    pub balance: Amount,
    /// Whether the reference was already counted before, so that nothing was added now.
    pub repeated: bool,
}

/// A sponsor's money of one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SponsorBalance {
    /// Free to use.
    pub balance: Amount,
    /// Held for open jobs.
    pub escrow: Amount,
    /// Went to workers and fees.
    pub spent: Amount,
}

/// `GET /sponsor`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SponsorView {
    /// Its name.
    pub name: SponsorName,
    /// Money by asset.
    pub assets: BTreeMap<AssetName, SponsorBalance>,
}
