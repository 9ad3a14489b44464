package artifact

import (
	"context"
	"crypto/cipher"
	"errors"
	"io"

	"gocloud.dev/blob"

	"github.com/deviceops/deviceops"
)

// content reads an artifact from anywhere. It fetches from the chunk in which a
// read begins to the end of what is read, so that a range costs its own size. It
// implements io.ReadSeekCloser and is not safe for concurrent use.
type content struct {
	ctx    context.Context
	bucket *blob.Bucket
	key    string
	sha256 string
	cipher cipher.AEAD
	start  int64 // where chunks begin in the object
	size   int64 // of the content

	at     int64         // where the next read begins
	source io.ReadCloser // encrypted, from chunk next on; nil: not open
	next   int64         // the chunk that source gives next
	plain  []byte        // what was decrypted and not read yet
	out    [ChunkSize]byte
	in     [sealed]byte
}

// Read implements io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.at >= c.size {
		return 0, io.EOF
	}
	if len(c.plain) == 0 {
		if err := c.fetch(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	c.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (c *content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.size
	}
	if offset < 0 {
		return 0, deviceops.Errorf(deviceops.EINVALID, "an artifact has nothing before its beginning")
	}
	if offset != c.at {
		c.at, c.plain = offset, nil
	}
	return offset, nil
}

// Close implements io.Closer.
func (c *content) Close() error {
	if c.source == nil {
		return nil
	}
	source := c.source
	c.source = nil
	return source.Close()
}

// fetch decrypts the chunk in which the next read begins.
func (c *content) fetch() error {
	chunk := c.at / ChunkSize
	if err := c.position(chunk); err != nil {
		return err
	}
	count, size := chunksOf(c.size)
	last := chunk == count-1
	if !last {
		size = ChunkSize
	}
	encrypted := c.in[:size+tagSize]
	if _, err := io.ReadFull(c.source, encrypted); err != nil {
		return c.broken(err)
	}
	plain, err := c.cipher.Open(c.out[:0], nonce(chunk), encrypted, mark(last))
	if err != nil {
		return damaged(c.sha256, "a part of it was changed")
	}
	c.next++
	c.plain = plain[c.at-chunk*ChunkSize:]
	return nil
}

// position makes source give a chunk next.
func (c *content) position(chunk int64) error {
	if c.source != nil && c.next == chunk {
		return nil
	}
	_ = c.Close() // what was read of it is whole
	source, err := c.bucket.NewRangeReader(c.ctx, c.key, c.start+chunk*sealed, -1, nil)
	if err != nil {
		return translate("read artifact "+c.sha256, err)
	}
	c.source, c.next = source, chunk
	return nil
}

func (c *content) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged(c.sha256, "its end is missing")
	}
	return translate("read artifact "+c.sha256, err)
}
