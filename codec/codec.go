// Package codec encrypts what Temporal keeps: the inputs, results, signals,
// updates, memos and, by way of the failure converter, error messages and stack
// traces of workflows and activities. Temporal's database, its history exports
// and whoever looks at them see key ids and ciphertext.
//
// Names stay readable, since Temporal works by them: ids and types of workflows
// and activities, task queues, search attributes, the types of errors (error
// codes), and the reason given with a cancellation.
package codec

import (
	"crypto/cipher"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"github.com/deviceops/deviceops"
)

// Metadata of an encrypted payload. Encoding and key id are named as in
// Temporal's own examples, which its tools know.
const (
	metadataCipher = "encryption-cipher"
	metadataKeyID  = "encryption-key-id"

	encodingEncrypted = "binary/encrypted"
	cipherName        = "AES-256-GCM"
)

// Codec encrypts and decrypts payloads with AES-256-GCM under the keys of a
// Keyring: the current key encrypts, all keys decrypt. The key id is
// authenticated together with the payload. What is not encrypted passes through
// Decode as it is, so that workflows which began before encryption was switched
// on can go on.
type Codec struct {
	keys *Keyring
}

var _ converter.PayloadCodec = (*Codec)(nil)

// New makes a codec that uses keys.
func New(keys *Keyring) *Codec { return &Codec{keys} }

// Encode implements converter.PayloadCodec. It fails for no payload that can be
// marshaled.
func (c *Codec) Encode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	id, key := c.keys.current()
	encoded := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		plain, err := p.Marshal()
		if err != nil {
			return nil, deviceops.Errorf(deviceops.EINTERNAL, "marshal a payload: %w", err)
		}
		encoded[i] = &commonpb.Payload{
			Metadata: map[string][]byte{
				converter.MetadataEncoding: []byte(encodingEncrypted),
				metadataCipher:             []byte(cipherName),
				metadataKeyID:              []byte(id),
			},
			Data: key.Seal(nil, nil, pack(plain), associated(id)),
		}
	}
	return encoded, nil
}

// Decode implements converter.PayloadCodec. ENOTFOUND when a payload's key is
// not held any more, EUNAVAILABLE when that could not be asked, EINVALID when a
// payload was changed after it was encrypted.
func (c *Codec) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded := make([]*commonpb.Payload, len(payloads))
	for i, p := range payloads {
		if string(p.GetMetadata()[converter.MetadataEncoding]) != encodingEncrypted {
			decoded[i] = p
			continue
		}
		var err error
		if decoded[i], err = c.decrypt(p); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

func (c *Codec) decrypt(p *commonpb.Payload) (*commonpb.Payload, error) {
	if name := string(p.GetMetadata()[metadataCipher]); name != cipherName {
		return nil, deviceops.Errorf(deviceops.EINVALID, "a payload is encrypted with %q; only %s is known", name, cipherName)
	}
	id := string(p.GetMetadata()[metadataKeyID])
	key, err := c.keys.find(id)
	if err != nil {
		return nil, err
	}
	plain, err := open(key, p.GetData(), id)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "a payload encrypted with key %q cannot be read: it was changed, or the key of this id is another one now: %w", id, err)
	}
	var payload commonpb.Payload
	if err := payload.Unmarshal(plain); err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "a payload encrypted with key %q holds no payload: %w", id, err)
	}
	return &payload, nil
}

func open(key cipher.AEAD, data []byte, id string) ([]byte, error) {
	packed, err := key.Open(nil, nil, data, associated(id))
	if err != nil {
		return nil, err
	}
	return unpack(packed)
}

// associated is what is authenticated beside the payload: moving ciphertext under
// another key id or format does not go unnoticed.
func associated(id string) []byte {
	return fmt.Appendf(nil, "%s\x00%s\x00%s", encodingEncrypted, cipherName, id)
}
