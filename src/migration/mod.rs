//! A directory → ordered, checksummed migrations.
