package artifact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/url"
	"strings"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/codec"
)

// MaxSize is how large an artifact may be, in bytes.
const MaxSize = 64 << 30

// Config says where content is kept.
type Config struct {
	URL     string // of the bucket: file:///var/lib/deviceops/artifacts, s3://bucket?region=eu-central-1
	Keys    *codec.Keyring
	Records deviceops.ArtifactRecords
}

// Store keeps content in a bucket. It is safe for concurrent use.
type Store struct {
	bucket  *blob.Bucket
	keys    *codec.Keyring
	records deviceops.ArtifactRecords
}

// Open opens the bucket. A folder is made where there is none. EINVALID for a
// URL that no driver takes, EUNAVAILABLE when the bucket cannot be reached.
func Open(ctx context.Context, c Config) (*Store, error) {
	address, err := bucketURL(c.URL)
	if err != nil {
		return nil, err
	}
	bucket, err := blob.OpenBucket(ctx, address)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the artifact store %s cannot be opened: %w", redacted(c.URL), err)
	}
	s := &Store{bucket: bucket, keys: c.Keys, records: c.Records}
	if err := s.Ready(ctx); err != nil {
		_ = bucket.Close()
		return nil, err
	}
	return s, nil
}

// bucketURL adds to the URL of a folder what our use of it needs: temporary files
// on the same disk, and no files beside the objects.
func bucketURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return "", deviceops.Errorf(deviceops.EINVALID, "the artifact store %q is no URL: write file:///var/lib/deviceops/artifacts or s3://bucket?region=eu-central-1", redacted(text))
	}
	if u.Scheme == "file" {
		q := u.Query()
		q.Set("create_dir", "true")
		q.Set("no_tmp_dir", "true")
		q.Set("metadata", "skip")
		q.Set("dir_file_mode", "448") // 0700
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}

// redacted leaves out what may be a password.
func redacted(text string) string {
	plain, _, _ := strings.Cut(text, "?")
	if scheme, rest, ok := strings.Cut(plain, "://"); ok {
		if _, host, ok := strings.Cut(rest, "@"); ok {
			return scheme + "://" + host
		}
	}
	return plain
}

// Close gives the bucket back.
func (s *Store) Close() error { return s.bucket.Close() }

// Ready gives EUNAVAILABLE when the bucket cannot be reached.
func (s *Store) Ready(ctx context.Context) error {
	ok, err := s.bucket.IsAccessible(ctx)
	if err == nil && !ok {
		err = errors.New("there is no such bucket, or it may not be read")
	}
	if err != nil {
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the artifact store does not answer: %w", err)
	}
	return nil
}

// object gives the key of an object. No account holds a "+".
func object(account, sha256 string) string {
	return strings.ReplaceAll(account, "/", "+") + "/" + sha256[:2] + "/" + sha256
}

// Put stores content that must have the hash a.SHA256, and records it. It reads
// all of it, and holds no more than a few chunks at a time. Content that is there
// already is checked and not stored again. EINVALID when the content has another
// hash or is larger than MaxSize: then nothing is stored.
func (s *Store) Put(ctx context.Context, a deviceops.Artifact, from io.Reader) (stored deviceops.Artifact, created bool, err error) {
	if !deviceops.ValidSHA256(a.SHA256) {
		return a, false, deviceops.Errorf(deviceops.EINVALID, "%q is no SHA-256: 64 hexadecimal digits in lower case", a.SHA256)
	}
	stored, err = s.records.FindArtifact(ctx, a.Account, a.SHA256)
	switch {
	case err == nil && stored.Account == a.Account:
		_, err = check(from, io.Discard, a.SHA256)
		return stored, false, err
	case err != nil && deviceops.ErrorCode(err) != deviceops.ENOTFOUND:
		return a, false, err
	}
	if a.Size, err = s.write(ctx, a, from); err != nil {
		return a, false, err
	}
	if err := s.records.SaveArtifact(ctx, a); err != nil {
		return a, false, err
	}
	return a, true, nil
}

// write encrypts content into the bucket. An object appears whole or not at all.
func (s *Store) write(ctx context.Context, a deviceops.Artifact, from io.Reader) (size int64, err error) {
	intro, chunks, err := newHeader(s.keys, a.Account, a.SHA256)
	if err != nil {
		return 0, err
	}
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	object, err := s.bucket.NewWriter(ctx, object(a.Account, a.SHA256), &blob.WriterOptions{
		ContentType: "application/octet-stream", IfNotExist: true,
	})
	if err != nil {
		return 0, translate("store artifact "+a.SHA256, err)
	}
	to := newSealer(object, chunks)
	_, err = object.Write(intro)
	if err == nil {
		size, err = check(from, to, a.SHA256)
	}
	if err == nil {
		err = to.Close()
	}
	if err != nil {
		abort() // so that Close leaves nothing behind
		_ = object.Close()
		return 0, translate("store artifact "+a.SHA256, err)
	}
	return size, s.commit(object, a.SHA256)
}

// commit makes an object appear. One that is there already is the same content,
// whose record was lost or is about to be written.
func (s *Store) commit(object io.Closer, sha256 string) error {
	err := object.Close()
	if gcerrors.Code(err) == gcerrors.FailedPrecondition || gcerrors.Code(err) == gcerrors.AlreadyExists {
		return nil
	}
	return translate("store artifact "+sha256, err)
}

// check copies content and gives its size. EINVALID unless it has the hash.
func check(from io.Reader, to io.Writer, want string) (int64, error) {
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(sum, to), io.LimitReader(from, MaxSize+1))
	switch {
	case err != nil:
		return 0, translate("read the content", err)
	case size > MaxSize:
		return 0, deviceops.Errorf(deviceops.EINVALID, "the content is larger than %d bytes", int64(MaxSize))
	case sumOf(sum) != want:
		return 0, deviceops.Errorf(deviceops.EINVALID, "the content has SHA-256 %s, not %s: it was damaged on the way, or changed meanwhile; nothing was stored", sumOf(sum), want)
	}
	return size, nil
}

func sumOf(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// Content gives what account sees under a hash, to be read from anywhere and
// closed. ENOTFOUND, EUNAVAILABLE; a read gives EINTERNAL for what was damaged in
// the bucket.
func (s *Store) Content(ctx context.Context, account, sha256 string) (io.ReadSeekCloser, deviceops.Artifact, error) {
	a, err := s.records.FindArtifact(ctx, account, sha256)
	if err != nil {
		return nil, a, err
	}
	key := object(a.Account, a.SHA256)
	begin, err := s.bucket.NewRangeReader(ctx, key, 0, maxIntro, nil)
	if err != nil {
		return nil, a, translate("read artifact "+sha256, err)
	}
	defer begin.Close()
	intro, err := io.ReadAll(begin)
	if err != nil {
		return nil, a, translate("read artifact "+sha256, err)
	}
	start, chunks, err := readHeader(s.keys, a.Account, sha256, intro)
	if err != nil {
		return nil, a, err
	}
	if begin.Size() != storedSize(start, a.Size) {
		return nil, a, damaged(sha256, "its end is missing")
	}
	return &content{ctx: ctx, bucket: s.bucket, key: key, sha256: sha256, cipher: chunks, start: start, size: a.Size}, a, nil
}

// translate gives a bucket's error as one of the domain.
func translate(what string, err error) error {
	var known *deviceops.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	code := deviceops.EUNAVAILABLE
	switch gcerrors.Code(err) {
	case gcerrors.NotFound:
		code = deviceops.ENOTFOUND
	case gcerrors.Canceled:
		code = deviceops.ECANCELED
	case gcerrors.DeadlineExceeded:
		code = deviceops.ETIMEOUT
	case gcerrors.ResourceExhausted:
		code = deviceops.EEXHAUSTED
	}
	return deviceops.Errorf(code, "%s: %w", what, err)
}
