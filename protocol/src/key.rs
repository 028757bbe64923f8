//! A miner's key: an Ed25519 key pair that trust, voids and bans attach to, proven by signing the pool's nonce.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::hex;

/// What each signed statement begins with, so that a signature made here means nothing anywhere else.
pub const STATEMENT_PREFIX: &[u8; 13] = b"lode-work v1\0";

/// What a miner signs to prove its key: the prefix, the id of the pool's ledger, the nonce of this connection. With the
/// pool's id in it, a pool cannot have the nonce of another signed and pass it on.
#[must_use]
pub fn statement(pool: &[u8; 16], nonce: &[u8; 32]) -> Vec<u8> {
    [&STATEMENT_PREFIX[..], pool, nonce].concat()
}

/// Why a key or a signature is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The bytes are no point of the curve, or one of small order, which anyone can sign for.
    #[error("not an Ed25519 public key")]
    NotAKey,
    /// The signature is malformed, or of another key or statement.
    #[error("the signature does not fit the key and the statement")]
    WrongSignature,
}

/// A public key, as 64 hex digits. Only [`PublicKey::verify`] tells whether its bytes are a key at all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Checks a signature by the strict rules: the key is no point of small order, and a statement has one encoding of a
    /// signature.
    ///
    /// # Errors
    /// These bytes are no key, or the signature is not one of this key over `statement`.
    pub fn verify(&self, statement: &[u8], signature: &Signature) -> Result<(), KeyError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| KeyError::NotAKey)?;
        if key.is_weak() {
            return Err(KeyError::NotAKey);
        }
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(statement, &signature).map_err(|_| KeyError::WrongSignature)
    }
}

impl FromStr for PublicKey {
    type Err = hex::HexError;

    fn from_str(text: &str) -> Result<PublicKey, hex::HexError> {
        hex::decode_array(text).map(PublicKey)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = hex::HexError;
    fn try_from(text: String) -> Result<PublicKey, hex::HexError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A signature, as 128 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The secret half; wiped from memory when dropped, and never written out by `Debug`.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a seed, which must come from a secure random source.
    #[must_use]
    pub fn from_bytes(seed: &[u8; 32]) -> SecretKey {
        SecretKey(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a statement.
    #[must_use]
    pub fn sign(&self, statement: &[u8]) -> Signature {
        Signature(self.0.sign(statement).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_test_of_rfc_8032() {
        let seed = hex::decode_array("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
        let key = SecretKey::from_bytes(&seed);
        assert_eq!(key.public().to_string(), "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = key.sign(&[0x72]);
        assert_eq!(
            signature.to_string(),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert_eq!(key.public().verify(&[0x72], &signature), Ok(()));
    }

    #[test]
    fn a_proof_is_of_one_key_one_pool_and_one_nonce() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let proof = key.sign(&statement(&[1; 16], &[2; 32]));
        assert_eq!(key.public().verify(&statement(&[1; 16], &[2; 32]), &proof), Ok(()));
        for (pool, nonce) in [([0; 16], [2; 32]), ([1; 16], [3; 32])] {
            assert_eq!(key.public().verify(&statement(&pool, &nonce), &proof), Err(KeyError::WrongSignature));
        }
        let other = SecretKey::from_bytes(&[8; 32]).public();
        assert_eq!(other.verify(&statement(&[1; 16], &[2; 32]), &proof), Err(KeyError::WrongSignature));
        for bit in 0..512 {
            let mut bent = proof;
            bent.0[bit / 8] ^= 1 << (bit % 8);
            assert!(key.public().verify(&statement(&[1; 16], &[2; 32]), &bent).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn points_that_anyone_can_sign_for_are_no_keys() {
        // The neutral point: any signature with R = s * B fits it over any statement, unless it is refused as such.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let mut forged = Signature([0; 64]);
        forged.0[0] = 1;
        assert_eq!(PublicKey(neutral).verify(b"anything", &forged), Err(KeyError::NotAKey));
        let off_the_curve = (0..=255).map(|byte| [byte; 32]).find(|bytes| VerifyingKey::from_bytes(bytes).is_err());
        assert_eq!(PublicKey(off_the_curve.unwrap()).verify(b"anything", &forged), Err(KeyError::NotAKey));
    }

    #[test]
    fn a_secret_stays_out_of_logs() {
        let seed = [0xa5; 32];
        assert!(!format!("{:?}", SecretKey::from_bytes(&seed)).contains(&hex::encode(&seed)));
    }
}
