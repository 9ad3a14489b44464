package codec

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// compressAbove is the size, in bytes, from which a payload is compressed before
// it is encrypted; afterwards it can't be. Smaller ones gain less than the work
// costs.
const compressAbove = 1 << 10

// maxUnpacked bounds what decompression may yield, far above what Temporal takes.
const maxUnpacked = 64 << 20

// The first byte of what is encrypted tells how the rest is packed.
const (
	packedPlain = iota
	packedZstd
)

// Making an encoder or decoder takes longer than using it; both may be used at
// the same time.
var (
	encoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(256<<10))
		if err != nil {
			panic(err) // only for options that contradict each other
		}
		return e
	})
	decoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(0))
		if err != nil {
			panic(err)
		}
		return d
	})
)

// pack compresses what gets smaller by it.
func pack(plain []byte) []byte {
	if len(plain) >= compressAbove {
		packed := encoder().EncodeAll(plain, append(make([]byte, 0, len(plain)), packedZstd))
		if len(packed) <= len(plain) {
			return packed
		}
	}
	return append(append(make([]byte, 0, len(plain)+1), packedPlain), plain...)
}

var errPacking = errors.New("it is packed in a way that this version does not know")

func unpack(packed []byte) ([]byte, error) {
	if len(packed) == 0 {
		return nil, errPacking
	}
	switch packed[0] {
	case packedPlain:
		return packed[1:], nil
	case packedZstd:
		return decoder().DecodeAll(packed[1:], nil)
	default:
		return nil, errPacking
	}
}
