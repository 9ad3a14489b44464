package codec

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/deviceops/deviceops"
)

// keySize is that of AES-256, in bytes.
const keySize = 32

// document is the secret that holds the keys:
//
//	{"current": "k2", "keys": {"k1": "base64 of 32 bytes", "k2": "..."}}
type document struct {
	Current string            `json:"current"`
	Keys    map[string]string `json:"keys"`
}

// keySet is a document that was checked.
type keySet struct {
	current string
	keys    map[string]cipher.AEAD
}

// GenerateKeys gives a document with one fresh key. Its id comes from the key, so
// that no two keys ever share one.
func GenerateKeys() (string, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return "", deviceops.Errorf(deviceops.EINTERNAL, "generate a key: %w", err)
	}
	sum := sha256.Sum256(key)
	id := "k" + hex.EncodeToString(sum[:4])
	text, err := json.Marshal(document{Current: id, Keys: map[string]string{id: base64.StdEncoding.EncodeToString(key)}})
	return string(text), err
}

// parseKeys reads a document. EINVALID says what is wrong with it, and never a
// key.
func parseKeys(text string) (*keySet, error) {
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, `the keys are not JSON of the form {"current": "k1", "keys": {"k1": "base64 of 32 bytes"}}`)
	}
	set := &keySet{current: doc.Current, keys: make(map[string]cipher.AEAD, len(doc.Keys))}
	for _, id := range slices.Sorted(maps.Keys(doc.Keys)) {
		key, err := parseKey(id, doc.Keys[id])
		if err != nil {
			return nil, err
		}
		set.keys[id] = key
	}
	if set.keys[set.current] == nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the current key is %q, and the keys are %v: name one of them", doc.Current, set.ids())
	}
	return set, nil
}

func parseKey(id, text string) (cipher.AEAD, error) {
	if !deviceops.ValidID(id) {
		return nil, deviceops.Errorf(deviceops.EINVALID, "key id %q: use letters, digits, dots, _, : and -", id)
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != keySize {
		return nil, deviceops.Errorf(deviceops.EINVALID, "key %q is not base64 of %d bytes; make one with: head -c %d /dev/urandom | base64", id, keySize, keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "key %q: %w", id, err)
	}
	sealed, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "key %q: %w", id, err)
	}
	return sealed, nil
}

func (s *keySet) ids() []string { return slices.Sorted(maps.Keys(s.keys)) }
