//! Affine transforms in double precision, rounded once to single at the end.

/// The upper three rows of a 4x4 matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine(pub(super) [[f64; 4]; 3]);

impl Affine {
    pub(super) const IDENTITY: Self = Self([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]);

    /// From glTF's column-major matrix.
    pub(super) fn from_columns(matrix: &[f32; 16]) -> Self {
        Self(std::array::from_fn(|row| std::array::from_fn(|column| f64::from(matrix[4 * column + row]))))
    }

    /// Scaled first, then turned by a quaternion (x, y, z, w) of any length but 0, then moved.
    pub(super) fn from_parts(translation: [f64; 3], rotation: [f64; 4], scale: [f64; 3]) -> Self {
        let [x, y, z, w] = unit4(rotation);
        let turn = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ];
        Self(std::array::from_fn(|row| {
            let [a, b, c] = turn[row];
            [a * scale[0], b * scale[1], c * scale[2], translation[row]]
        }))
    }

    /// This transform after another.
    pub(super) fn after(&self, first: &Self) -> Self {
        Self(std::array::from_fn(|row| {
            let [a, b, c, d] = self.0[row];
            std::array::from_fn(|column| {
                let sum = a * first.0[0][column] + b * first.0[1][column] + c * first.0[2][column];
                if column == 3 { sum + d } else { sum }
            })
        }))
    }

    pub(super) fn point(&self, p: [f64; 3]) -> [f64; 3] {
        let moved = self.direction(p);
        std::array::from_fn(|row| moved[row] + self.0[row][3])
    }

    pub(super) fn direction(&self, d: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|row| self.0[row][0] * d[0] + self.0[row][1] * d[1] + self.0[row][2] * d[2])
    }

    pub(super) fn position(&self) -> [f64; 3] {
        std::array::from_fn(|row| self.0[row][3])
    }

    /// Negative where it mirrors.
    pub(super) fn determinant(&self) -> f64 {
        let rows = self.rows();
        dot(rows[0], cross(rows[1], rows[2]))
    }

    /// How normals turn: the cofactors, signed so that a normal stays outside where space is mirrored.
    pub(super) fn normals(&self) -> Self {
        let rows = self.rows();
        let sign = if self.determinant() < 0.0 { -1.0 } else { 1.0 };
        let cofactors = [cross(rows[1], rows[2]), cross(rows[2], rows[0]), cross(rows[0], rows[1])];
        Self(cofactors.map(|[a, b, c]| [sign * a, sign * b, sign * c, 0.0]))
    }

    fn rows(&self) -> [[f64; 3]; 3] {
        self.0.map(|[a, b, c, _]| [a, b, c])
    }

    /// The weighted sum of transforms.
    pub(super) fn blend(parts: impl Iterator<Item = (f64, Self)>) -> Self {
        let mut sum = [[0.0; 4]; 3];
        for (weight, part) in parts {
            for (row, from) in sum.iter_mut().zip(part.0) {
                for (cell, from) in row.iter_mut().zip(from) {
                    *cell += weight * from;
                }
            }
        }
        Self(sum)
    }

    pub(super) fn is_finite(&self) -> bool {
        self.0.iter().flatten().all(|cell| cell.is_finite())
    }
}

pub(super) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn cross(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(super) fn sub(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(super) fn add(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(super) fn scaled(a: [f64; 3], by: f64) -> [f64; 3] {
    a.map(|part| part * by)
}

/// A vector of length 1 in the same direction, if it has one.
pub(super) fn unit(a: [f64; 3]) -> Option<[f64; 3]> {
    let largest = a.iter().fold(0.0, |most: f64, part| if part.abs() > most { part.abs() } else { most });
    if !(largest > 0.0 && largest.is_finite() && a.iter().all(|part| part.is_finite())) {
        return None;
    }
    let a = scaled(a, 1.0 / largest); // squares of very small or large parts would leave the range
    a.iter().all(|part| part.is_finite()).then(|| scaled(a, 1.0 / dot(a, a).sqrt()))
}

fn unit4(q: [f64; 4]) -> [f64; 4] {
    let length = q.iter().map(|part| part * part).sum::<f64>().sqrt();
    if length > 0.0 && length.is_finite() { q.map(|part| part / length) } else { [0.0, 0.0, 0.0, 1.0] }
}

/// The turn between two others, `at` from 0 to 1, at constant speed along the shorter way.
pub(super) fn slerp(from: [f64; 4], to: [f64; 4], at: f64) -> [f64; 4] {
    let (from, mut to) = (unit4(from), unit4(to));
    let mut cosine: f64 = from.iter().zip(to).map(|(a, b)| a * b).sum();
    if cosine < 0.0 {
        to = to.map(|part| -part);
        cosine = -cosine;
    }
    let (a, b) = if cosine > 0.999_999 {
        (1.0 - at, at)
    } else {
        let angle = cosine.acos();
        (((1.0 - at) * angle).sin() / angle.sin(), (at * angle).sin() / angle.sin())
    };
    unit4(std::array::from_fn(|place| a * from[place] + b * to[place]))
}

/// Rounds to single precision.
#[expect(clippy::cast_possible_truncation, reason = "rounding is what is wanted; what is too large becomes infinite")]
pub(super) fn single<const N: usize>(a: [f64; N]) -> [f32; N] {
    a.map(|part| part as f32)
}

pub(super) fn double<const N: usize>(a: [f32; N]) -> [f64; N] {
    a.map(f64::from)
}
