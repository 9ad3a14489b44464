package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/zstd"

	"github.com/deviceops/deviceops"
)

// One packer and one unpacker serve the process: both may be used at once by
// many.
var (
	packer = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	})
	unpacker = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderMaxMemory(2*deviceops.MaxOutput), zstd.WithDecoderConcurrency(0))
	})
)

// SaveOutputs implements deviceops.Outputs.
func (t tx) SaveOutputs(ctx context.Context, parts []deviceops.Output) error {
	pack, err := packer()
	if err != nil {
		return err
	}
	for _, p := range parts {
		_, ok, err := first(ctx, t, "save output", pgx.RowTo[string], `
			with run as (select id, account from runs where id = $1),
			saved as (
				insert into outputs (account, sha256, run, size, content)
				select account, $2, id, $3, $4 from run on conflict do nothing)
			select id from run`, p.Run, p.SHA256, len(p.Data), pack.EncodeAll(p.Data, nil))
		if !ok {
			return missing(err, "there is no run %s", p.Run)
		}
	}
	return nil
}

// CopyOutputs implements deviceops.Outputs.
func (t tx) CopyOutputs(ctx context.Context, from, to string) error {
	_, _, err := first(ctx, t, "copy outputs", pgx.RowTo[string], `
		insert into outputs (account, sha256, run, size, content)
		select account, sha256, $2, size, content from outputs where run = $1
		on conflict do nothing returning run`, from, to)
	return err
}

// FindOutput implements deviceops.Outputs.
func (t tx) FindOutput(ctx context.Context, account, sha256 string) ([]byte, error) {
	packed, ok, err := first(ctx, t, "find output", pgx.RowTo[[]byte],
		`select content from outputs where account = $1 and sha256 = $2 limit 1`, account, sha256)
	if !ok {
		return nil, missing(err, "there is no output %s any more", sha256)
	}
	unpack, err := unpacker()
	if err != nil {
		return nil, err
	}
	data, err := unpack.DecodeAll(packed, nil)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINTERNAL, "the stored output %s is damaged: %w", sha256, err)
	}
	return data, nil
}
