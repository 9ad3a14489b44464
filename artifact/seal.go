package artifact

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/codec"
)

// ChunkSize is how much content is encrypted at a time, in bytes.
const ChunkSize = 64 << 10

const (
	keySize  = 32 // AES-256
	tagSize  = 16 // GCM
	sealed   = ChunkSize + tagSize
	magic    = "DOPSART1"
	maxIntro = 4 << 10 // no magic, length and header are longer, in bytes
)

// header is how an object begins, as JSON after magic and its length (uint32,
// big endian).
type header struct {
	Key   string `json:"key"`   // id of the key that wraps
	Data  []byte `json:"data"`  // the wrapped data key
	Chunk int    `json:"chunk"` // bytes of content in a chunk
}

// about binds a data key to whose content it is, and which.
func about(account, sha256 string) []byte {
	return fmt.Appendf(nil, "deviceops-artifact\x00%s\x00%s", account, sha256)
}

// newHeader makes a data key. It gives the beginning of an object, and the cipher.
func newHeader(keys *codec.Keyring, account, sha256 string) ([]byte, cipher.AEAD, error) {
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	id, wrapped := keys.Wrap(key, about(account, sha256))
	text, err := json.Marshal(header{Key: id, Data: wrapped, Chunk: ChunkSize})
	if err != nil {
		return nil, nil, deviceops.Errorf(deviceops.EINTERNAL, "header of an artifact: %w", err)
	}
	intro := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text)))
	chunks, err := newCipher(key)
	return append(intro, text...), chunks, err
}

// readHeader reads the beginning of an object. It gives its length, and the
// cipher. EINVALID for what is no object of ours.
func readHeader(keys *codec.Keyring, account, sha256 string, intro []byte) (int64, cipher.AEAD, error) {
	fixed := len(magic) + 4
	if len(intro) < fixed || string(intro[:len(magic)]) != magic {
		return 0, nil, damaged(sha256, "it does not begin as an artifact does")
	}
	end := fixed + int(binary.BigEndian.Uint32(intro[len(magic):]))
	if end > len(intro) {
		return 0, nil, damaged(sha256, "its header is cut off")
	}
	var h header
	if err := json.Unmarshal(intro[fixed:end], &h); err != nil || h.Chunk != ChunkSize {
		return 0, nil, damaged(sha256, "its header cannot be read")
	}
	key, err := keys.Unwrap(h.Key, h.Data, about(account, sha256))
	if err != nil {
		return 0, nil, err
	}
	chunks, err := newCipher(key)
	return int64(end), chunks, err
}

func damaged(sha256, what string) error {
	return deviceops.Errorf(deviceops.EINTERNAL, "artifact %s is damaged in its store: %s", sha256, what)
}

func newCipher(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err == nil {
		var chunks cipher.AEAD
		if chunks, err = cipher.NewGCM(block); err == nil {
			return chunks, nil
		}
	}
	return nil, deviceops.Errorf(deviceops.EINTERNAL, "data key of an artifact: %w", err)
}

// nonce numbers a chunk; a data key is used for one object only.
func nonce(chunk int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4), uint64(chunk))
}

// mark is authenticated with a chunk.
func mark(last bool) []byte {
	if last {
		return []byte("last")
	}
	return []byte("more")
}

// chunksOf gives the number of chunks of content, and the size of the last one
// before encryption. Empty content is one empty chunk.
func chunksOf(size int64) (count int64, last int) {
	count = max(1, (size+ChunkSize-1)/ChunkSize)
	return count, int(size - (count-1)*ChunkSize)
}

// storedSize gives the size of an object whose header ends at start.
func storedSize(start, size int64) int64 {
	count, _ := chunksOf(size)
	return start + size + count*tagSize
}

// sealer encrypts what is written to it, chunk by chunk. A chunk is written when
// it is known whether another follows.
type sealer struct {
	to     io.Writer
	cipher cipher.AEAD
	buffer []byte // plain, up to ChunkSize
	out    []byte
	chunk  int64
}

func newSealer(to io.Writer, c cipher.AEAD) *sealer {
	return &sealer{to: to, cipher: c, buffer: make([]byte, 0, ChunkSize), out: make([]byte, 0, sealed)}
}

// Write implements io.Writer.
func (s *sealer) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		if len(s.buffer) == ChunkSize {
			if err := s.flush(false); err != nil {
				return 0, err
			}
		}
		n := min(len(p), ChunkSize-len(s.buffer))
		s.buffer = append(s.buffer, p[:n]...)
		p = p[n:]
	}
	return written, nil
}

// Close writes the last chunk. It does not close what it writes to.
func (s *sealer) Close() error { return s.flush(true) }

func (s *sealer) flush(last bool) error {
	s.out = s.cipher.Seal(s.out[:0], nonce(s.chunk), s.buffer, mark(last))
	s.chunk++
	s.buffer = s.buffer[:0]
	_, err := s.to.Write(s.out)
	return err
}
