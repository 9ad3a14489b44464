// Package artifact stores the content of releases: by its SHA-256, encrypted,
// in a bucket that may be a folder or the customer's own cloud. It also signs the
// URLs by which devices download it.
//
// An object of the bucket is a header (see header) and the content in chunks of
// ChunkSize bytes, each encrypted with AES-256-GCM under a data key of the
// object's own. The nonce of a chunk is its number; whether it is the last one is
// authenticated with it. So chunks cannot be changed, swapped, left out or cut off
// unseen (the construction STREAM of Hoang, Reyhanitabar, Rogaway and Vizár, 2015),
// and each can be read without those before it. The data key is wrapped by a key
// of the installation, together with whose content it is and its hash.
package artifact
