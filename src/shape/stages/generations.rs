//! A map that forgets what was not asked for lately, so that keys nobody can count do not fill the memory.
//!
//! It has two generations (as in grafana/loki, `pkg/util/map.go`): what is asked for gets into the young one;
//! when that is full it becomes the old one, and the old one is forgotten.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Remembers up to twice as many keys as one generation holds.
#[derive(Debug)]
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Keys of a generation (count).
    size: usize,
}

impl<K: Eq + Hash, V> Generations<K, V> {
    /// An empty map; a generation has `size` keys.
    pub(super) fn new(size: usize) -> Generations<K, V> {
        Generations { young: HashMap::new(), old: HashMap::new(), size }
    }

    /// The value of a key, made if it is not remembered.
    pub(super) fn get<Q>(&mut self, key: &Q, make: impl FnOnce() -> V) -> &mut V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.renew(key);
        self.young.entry(key.to_owned()).or_insert_with(make)
    }

    /// The value of a key, if it is remembered.
    pub(super) fn find<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.make_room();
            return Some(self.young.entry(key).or_insert(value));
        }
        self.young.get_mut(key)
    }

    /// Makes the key young, or room for it.
    fn renew<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if self.find(key).is_none() {
            self.make_room();
        }
    }

    fn make_room(&mut self) {
        if self.young.len() >= self.size {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_remembered() {
        let mut map: Generations<String, u32> = Generations::new(2);
        *map.get("a", || 1) += 1;
        for (key, made) in [("b", 5), ("c", 6)] {
            assert_eq!(*map.get(key, || made), made);
        }
        // Old by now, and young again.
        assert_eq!(map.find("a").copied(), Some(2));
        for key in ["d", "e"] {
            map.get(key, || 0);
        }
        assert_eq!(map.find("b").copied(), None, "not asked for in two generations");
        assert_eq!(*map.get("a", || 9), 2);
    }

    #[test]
    fn it_is_bounded() {
        let mut map: Generations<String, ()> = Generations::new(10);
        for n in 0..1000 {
            map.get(n.to_string().as_str(), || ());
            map.find((n / 2).to_string().as_str());
            assert!(map.young.len() + map.old.len() <= 20);
        }
    }
}
