package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/client"
)

// measure fills in hash and size of what a file holds.
func (a *app) measure(p *part) error {
	if p.file == "" {
		return nil
	}
	f, size, err := openPart(*p)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	bar := a.bar(p.Name+" hashing", size)
	defer bar.end()
	if p.Size, err = io.Copy(sum, io.TeeReader(f, bar)); err != nil {
		return deviceops.Errorf(deviceops.EINVALID, "cannot read component %s: %w", p.Name, err)
	}
	p.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func openPart(p part) (*os.File, int64, error) {
	f, err := os.Open(p.file)
	if err != nil {
		return nil, 0, deviceops.Errorf(deviceops.EINVALID, "cannot read component %s: %w", p.Name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no file", p.file) // it is read twice
	}
	if err != nil {
		f.Close()
		return nil, 0, deviceops.Errorf(deviceops.EINVALID, "cannot read component %s: %w", p.Name, err)
	}
	return f, info.Size(), nil
}

// upload sends a file whose content the server does not have.
func (a *app) upload(ctx context.Context, c *client.Client, n *newRelease, p part) error {
	if p.file == "" {
		return nil
	}
	_, err := c.Artifact(ctx, n.account, p.SHA256)
	if deviceops.ErrorCode(err) != deviceops.ENOTFOUND {
		return err
	}
	f, size, err := openPart(p)
	if err != nil {
		return err
	}
	defer f.Close()
	bar := a.bar(p.Name+" uploading", size)
	defer bar.end()
	if _, err := c.PutArtifact(ctx, n.account, p.SHA256, io.TeeReader(f, bar), size, n.request.Reason); err != nil {
		return deviceops.Errorf(deviceops.ErrorCode(err), "component %s: %w", p.Name, err)
	}
	return nil
}

// bar shows on a terminal how far something is. It takes what passes as an
// io.Writer.
type bar struct {
	to    io.Writer // nil: there is no terminal
	title string
	total int64
	done  int64
	begun time.Time
	drawn time.Time
	now   func() time.Time
}

// barEvery is how often a bar is drawn.
const barEvery = 200 * time.Millisecond

func (a *app) bar(title string, total int64) *bar {
	b := &bar{title: title, total: total, begun: a.Now(), now: a.Now}
	if isTerminal(a.Err) && a.Getenv("TERM") != "dumb" {
		b.to = a.Err
	}
	return b
}

// Write implements io.Writer.
func (b *bar) Write(p []byte) (int, error) {
	b.done += int64(len(p))
	if now := b.now(); b.to != nil && now.Sub(b.drawn) >= barEvery {
		b.drawn = now
		fmt.Fprintf(b.to, "\r\x1b[K%s", b)
	}
	return len(p), nil
}

// String gives the line that is drawn.
func (b *bar) String() string {
	percent := int64(100)
	if b.total > 0 {
		percent = 100 * b.done / b.total
	}
	rate := float64(b.done) / max(b.now().Sub(b.begun).Seconds(), 0.001)
	return fmt.Sprintf("%s %3d %%  %s of %s  %s/s", b.title, percent, bytesText(b.done), bytesText(b.total), bytesText(int64(rate)))
}

// end removes the bar.
func (b *bar) end() {
	if b.to != nil && !b.drawn.IsZero() {
		fmt.Fprint(b.to, "\r\x1b[K")
	}
}
