//! The tree of boxes: from boxes of triangles to nodes with up to eight children, each a node or a group of up to eight
//! triangles. The same boxes give the same tree everywhere.
//!
//! A binary tree is split by the surface area heuristic over sixteen bins an axis; then the cheapest way to gather it into
//! wide nodes and groups is found from the leaves up (Ylitie, Karras, Laine: "Efficient Incoherent Ray Traversal on GPUs
//! Through Compressed Wide BVHs", 2017).

use super::layout::STACK;

/// Children of a node, and triangles of a group.
pub(super) const WIDTH: usize = 8;
const BINS: usize = 16;
/// Depth of the binary tree from which on it is halved by count.
const HEURISTIC_DEPTH: u32 = 48;

/// An axis-aligned box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) low: [f32; 3],
    pub(super) high: [f32; 3],
}

impl Bounds {
    pub(super) const EMPTY: Self = Self { low: [f32::INFINITY; 3], high: [f32::NEG_INFINITY; 3] };

    pub(super) fn with(self, other: Self) -> Self {
        let mut both = self;
        for axis in 0..3 {
            both.low[axis] = both.low[axis].min(other.low[axis]);
            both.high[axis] = both.high[axis].max(other.high[axis]);
        }
        both
    }

    fn center(self, axis: usize) -> f32 {
        self.low[axis] * 0.5 + self.high[axis] * 0.5
    }

    /// Half the surface.
    fn area(self) -> f32 {
        let [x, y, z] = [0, 1, 2].map(|axis| self.high[axis] - self.low[axis]);
        if x < 0.0 { 0.0 } else { x * y + y * z + z * x }
    }
}

/// A node's child.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Child {
    Node(usize),
    Group(usize),
}

/// A tree; node 0 is the root, and children come after their parents.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Vec<(Bounds, Child)>>,
    /// Triangles of each group, in ascending order.
    pub(super) groups: Vec<Vec<u32>>,
}

/// The tree over `boxes`, or over those of them that are given.
pub(super) fn build(boxes: &[Bounds], given: &[u32]) -> Tree {
    let tree = gather(&Binary::build(boxes, given.to_vec(), HEURISTIC_DEPTH));
    if stack_need(&tree) <= STACK {
        return tree;
    }
    gather(&Binary::build(boxes, given.to_vec(), 0))
}

/// A binary tree over a permutation of the triangles.
struct Binary {
    order: Vec<u32>,
    nodes: Vec<BinaryNode>,
}

#[derive(Clone, Copy)]
struct BinaryNode {
    bounds: Bounds,
    first: usize,
    count: usize,
    /// The left child; the right one comes next. 0 in a leaf.
    left: usize,
}

impl Binary {
    /// Splits down to single triangles: by the heuristic down to `heuristic_depth`, by count below.
    fn build(boxes: &[Bounds], order: Vec<u32>, heuristic_depth: u32) -> Self {
        let count = order.len();
        let mut tree = Self { order, nodes: Vec::with_capacity(2 * count) };
        tree.nodes.push(BinaryNode { bounds: Bounds::EMPTY, first: 0, count, left: 0 });
        let mut open = vec![(0, 0)];
        while let Some((at, depth)) = open.pop() {
            let BinaryNode { first, count, .. } = tree.nodes[at];
            let part = &mut tree.order[first..first + count];
            let bounds = part.iter().fold(Bounds::EMPTY, |all, &triangle| all.with(boxes[triangle as usize]));
            tree.nodes[at].bounds = bounds;
            if count <= 1 {
                continue;
            }
            let middle = if depth < heuristic_depth { split(boxes, part) } else { None };
            let middle = middle.unwrap_or_else(|| halve(boxes, part));
            let left = tree.nodes.len();
            tree.nodes[at].left = left;
            for (first, count) in [(first, middle), (first + middle, count - middle)] {
                tree.nodes.push(BinaryNode { bounds: Bounds::EMPTY, first, count, left: 0 });
            }
            open.push((left + 1, depth + 1));
            open.push((left, depth + 1));
        }
        tree
    }
}

/// Reorders the triangles so that the first so many are one side of the best split; none if all centres coincide.
fn split(boxes: &[Bounds], part: &mut [u32]) -> Option<usize> {
    let center = |triangle: u32, axis: usize| boxes[triangle as usize].center(axis);
    let mut best: Option<(f32, usize, usize)> = None;
    let mut ranges = [(0.0, 0.0); 3];
    for (axis, range) in ranges.iter_mut().enumerate() {
        let (low, high) = part.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &triangle| {
            (low.min(center(triangle, axis)), high.max(center(triangle, axis)))
        });
        let scale = BINS as f32 / (high - low);
        if !(high > low && scale.is_finite()) {
            continue;
        }
        *range = (low, scale);
        let mut bins = [(Bounds::EMPTY, 0_u32); BINS];
        for &triangle in &*part {
            let (bounds, count) = &mut bins[bin(center(triangle, axis), *range)];
            *bounds = bounds.with(boxes[triangle as usize]);
            *count += 1;
        }
        let mut right = [0.0; BINS];
        let (mut bounds, mut count) = (Bounds::EMPTY, 0);
        for at in (1..BINS).rev() {
            bounds = bounds.with(bins[at].0);
            count += bins[at].1;
            right[at] = bounds.area() * count as f32;
        }
        let (mut bounds, mut count) = (Bounds::EMPTY, 0);
        for at in 1..BINS {
            bounds = bounds.with(bins[at - 1].0);
            count += bins[at - 1].1;
            let cost = bounds.area() * count as f32 + right[at];
            if count > 0 && (count as usize) < part.len() && best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, axis, at));
            }
        }
    }
    let (_, axis, at) = best?;
    let mut sides: Vec<u32> = Vec::with_capacity(part.len());
    let is_left = |triangle: &u32| bin(center(*triangle, axis), ranges[axis]) < at;
    sides.extend(part.iter().filter(|triangle| is_left(triangle)));
    let middle = sides.len();
    sides.extend(part.iter().filter(|triangle| !is_left(triangle)));
    part.copy_from_slice(&sides);
    (middle > 0 && middle < part.len()).then_some(middle)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the integer part is asked for")]
fn bin(center: f32, (low, scale): (f32, f32)) -> usize {
    (((center - low) * scale) as usize).min(BINS - 1)
}

/// Reorders the triangles along the longest axis and halves them.
fn halve(boxes: &[Bounds], part: &mut [u32]) -> usize {
    let extent = |axis| {
        let centers = part.iter().map(|&triangle| boxes[triangle as usize].center(axis));
        let (low, high) = centers.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), c| (l.min(c), h.max(c)));
        high - low
    };
    let extents = [0, 1, 2].map(extent);
    let axis = (1..3).fold(0, |best, axis| if extents[axis] > extents[best] { axis } else { best });
    let key = |triangle: u32| boxes[triangle as usize].center(axis);
    part.sort_unstable_by(|a, b| key(*a).total_cmp(&key(*b)).then(a.cmp(b)));
    part.len() / 2
}

/// The least cost of a subtree's triangles as at most so many children of one node.
type Costs = [f32; WIDTH];

/// Gathers a binary tree into wide nodes and groups at the least expected cost, a node and a group costing the same.
fn gather(binary: &Binary) -> Tree {
    let mut tree = Tree { nodes: vec![Vec::new()], groups: Vec::new() };
    if binary.order.is_empty() {
        return tree;
    }
    let costs = costs(binary);
    let mut open = vec![(0, 0)];
    while let Some((wide, at)) = open.pop() {
        let mut parts = Vec::with_capacity(WIDTH);
        if binary.nodes[at].left == 0 {
            parts.push(at);
        } else {
            spread(binary, &costs, at, WIDTH, &mut parts);
        }
        let mut inner = Vec::new();
        for part in parts {
            let node = binary.nodes[part];
            let child = if node.count <= WIDTH {
                let mut group = binary.order[node.first..node.first + node.count].to_vec();
                group.sort_unstable();
                tree.groups.push(group);
                Child::Group(tree.groups.len() - 1)
            } else {
                tree.nodes.push(Vec::new());
                inner.push((tree.nodes.len() - 1, part));
                Child::Node(tree.nodes.len() - 1)
            };
            tree.nodes[wide].push((node.bounds, child));
        }
        open.extend(inner.into_iter().rev());
    }
    tree
}

/// What each subtree costs. As one child, up to eight triangles are always a group: a node would add to the cost.
fn costs(binary: &Binary) -> Vec<Costs> {
    let mut costs = vec![[0.0; WIDTH]; binary.nodes.len()];
    for (at, node) in binary.nodes.iter().enumerate().rev() {
        let area = node.bounds.area();
        if node.left == 0 {
            costs[at] = [area; WIDTH];
            continue;
        }
        let (left, right) = (costs[node.left], costs[node.left + 1]);
        let mut cost = [f32::INFINITY; WIDTH];
        for budget in 2..=WIDTH {
            let shares = (1..budget).map(|share| left[share - 1] + right[budget - share - 1]);
            cost[budget - 1] = shares.fold(f32::INFINITY, f32::min);
        }
        cost[0] = if node.count <= WIDTH { area } else { area + cost[WIDTH - 1] };
        for budget in 1..WIDTH {
            cost[budget] = cost[budget].min(cost[budget - 1]);
        }
        costs[at] = cost;
    }
    costs
}

/// The subtrees that become children of one node when the subtree at `at`, which is no leaf, may have `budget` of them.
fn spread(binary: &Binary, costs: &[Costs], at: usize, budget: usize, parts: &mut Vec<usize>) {
    let (left, right) = (binary.nodes[at].left, binary.nodes[at].left + 1);
    let cost = |share: usize| costs[left][share - 1] + costs[right][budget - share - 1];
    let share = (2..budget).fold(1, |best, share| if cost(share) < cost(best) { share } else { best });
    for (at, budget) in [(left, share), (right, budget - share)] {
        let alone = budget == 1 || binary.nodes[at].left == 0 || costs[at][0] <= costs[at][budget - 1];
        if alone {
            parts.push(at);
        } else {
            spread(binary, costs, at, budget, parts);
        }
    }
}

/// Entries that a traversal's stack needs at most.
fn stack_need(tree: &Tree) -> usize {
    let mut needs = vec![0_usize; tree.nodes.len()];
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        let inner = node.iter().filter_map(|(_, child)| match child {
            Child::Node(child) => Some(needs[*child]),
            Child::Group(_) => None,
        });
        needs[at] = node.len().max(inner.max().unwrap_or(0) + node.len().max(1) - 1);
    }
    needs[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::rng::Sequence;

    fn check(boxes: &[Bounds], tree: &Tree) {
        let mut seen = vec![0; boxes.len()];
        for group in &tree.groups {
            assert!(!group.is_empty() && group.len() <= WIDTH && group.is_sorted());
            group.iter().for_each(|&triangle| seen[triangle as usize] += 1);
        }
        assert!(seen.iter().all(|&times| times == 1));
        let contains = |outer: &Bounds, inner: &Bounds| outer.with(*inner) == *outer;
        for (at, node) in tree.nodes.iter().enumerate() {
            assert!(node.len() <= WIDTH);
            for (bounds, child) in node {
                match *child {
                    Child::Node(child) => {
                        assert!(child > at);
                        assert!(tree.nodes[child].iter().all(|(inner, _)| contains(bounds, inner)));
                    }
                    Child::Group(group) => {
                        assert!(tree.groups[group].iter().all(|&t| contains(bounds, &boxes[t as usize])));
                    }
                }
            }
        }
        assert!(stack_need(tree) <= STACK);
    }

    fn random(rng: &mut Sequence, count: usize, size: f32) -> Vec<Bounds> {
        let one = |rng: &mut Sequence| {
            let low = [rng.unit(), rng.unit(), rng.unit()];
            Bounds { low, high: low.map(|x| x + size * rng.unit()) }
        };
        (0..count).map(|_| one(rng)).collect()
    }

    fn all(boxes: &[Bounds]) -> Vec<u32> {
        (0..).take(boxes.len()).collect()
    }

    #[test]
    fn every_triangle_is_in_one_group_within_its_boxes() {
        let mut rng = Sequence::new(1);
        for count in [0, 1, 2, 7, 8, 9, 64, 500, 3_000] {
            let boxes = random(&mut rng, count, 0.05);
            let tree = build(&boxes, &all(&boxes));
            check(&boxes, &tree);
            assert_eq!(tree, build(&boxes, &all(&boxes)));
        }
    }

    #[test]
    fn hostile_boxes_stay_within_the_stack() {
        // Each box half as large and half as far as the one before; and all in one place.
        let shrinking: Vec<Bounds> =
            (0..120).map(|k| 0.5_f32.powi(k)).map(|size| Bounds { low: [size; 3], high: [size * 1.5; 3] }).collect();
        check(&shrinking, &build(&shrinking, &all(&shrinking)));
        let same = vec![Bounds { low: [0.0; 3], high: [1.0; 3] }; 1_000];
        check(&same, &build(&same, &all(&same)));
    }

    #[test]
    fn groups_are_well_filled_and_the_tree_is_shallow() {
        let boxes = random(&mut Sequence::new(2), 20_000, 0.01);
        let tree = build(&boxes, &all(&boxes));
        assert!(tree.groups.len() < 20_000 * 2 / 5, "{} groups", tree.groups.len());
        assert!(stack_need(&tree) < 64, "{} entries", stack_need(&tree));
    }
}
