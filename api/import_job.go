package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/deviceops/deviceops"
)

// importJob takes the rows of one import, chunk by chunk.
type importJob struct {
	importService
	principal deviceops.Principal
	reason    string
	prepare   func(deviceops.RegisterRequest) (deviceops.Registration, error)
	report    deviceops.ImportReport

	chunk []deviceops.Registration
	lines []int          // of chunk
	seen  map[string]int // line by id, and by account, profile and serial
}

func newImportJob(i importService, p deviceops.Principal, reason string, prepare func(deviceops.RegisterRequest) (deviceops.Registration, error)) *importJob {
	return &importJob{
		importService: i, principal: p, reason: reason, prepare: prepare, seen: map[string]int{},
		report: deviceops.ImportReport{Outcomes: map[deviceops.RegisterOutcome]int{}, Bad: []deviceops.BadRow{}},
	}
}

func (j *importJob) all(ctx context.Context, rows rowReader) error {
	for {
		row, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return j.broken(err)
		}
		if err := j.take(ctx, row); err != nil {
			return err
		}
	}
	if err := j.flush(ctx); err != nil {
		return err
	}
	slices.SortStableFunc(j.report.Bad, func(a, b deviceops.BadRow) int { return a.Line - b.Line })
	return nil
}

// broken tells what ended the stream before its end.
func (j *importJob) broken(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return deviceops.Errorf(deviceops.EINVALID, "the import is larger than %d bytes; split it", tooLarge.Limit)
	}
	return deviceops.Errorf(deviceops.EINVALID, "the import broke off after %d rows, of which the good ones up to the last full %d are kept; run it again: %w", j.report.Total, importChunk, err)
}

// take checks a row. What the store or the catalog cannot answer ends the
// import; all else that is wrong is the row's own.
func (j *importJob) take(ctx context.Context, r row) error {
	j.report.Total++
	if r.bad != nil {
		j.reject(r.line, r.request.ID, deviceops.ErrorMessage(r.bad))
		return nil
	}
	registration, err := j.prepare(r.request)
	switch deviceops.ErrorCode(err) {
	case "":
	case deviceops.EINVALID, deviceops.ENOTFOUND:
		j.reject(r.line, r.request.ID, deviceops.ErrorMessage(err))
		return nil
	default:
		return err
	}
	if twin, what := j.twin(registration); twin != 0 {
		j.reject(r.line, registration.ID, fmt.Sprintf("the same %s stands on line %d", what, twin))
		return nil
	}
	j.remember(registration, r.line)
	j.chunk, j.lines = append(j.chunk, registration), append(j.lines, r.line)
	if len(j.chunk) < importChunk {
		return nil
	}
	return j.flush(ctx)
}

func serialKey(r deviceops.Registration) string {
	return r.Account + "\x00" + r.Profile + "\x00" + r.Serial
}

// twin gives the line of this import that has the same id or serial, or 0.
func (j *importJob) twin(r deviceops.Registration) (line int, what string) {
	if line := j.seen[r.ID]; line != 0 {
		return line, "id"
	}
	return j.seen[serialKey(r)], "serial"
}

func (j *importJob) remember(r deviceops.Registration, line int) {
	j.seen[r.ID], j.seen[serialKey(r)] = line, line
}

func (j *importJob) reject(line int, id, reason string) {
	j.report.Bad = append(j.report.Bad, deviceops.BadRow{Line: line, ID: id, Reason: reason})
}

func (j *importJob) flush(ctx context.Context) error {
	if len(j.chunk) == 0 {
		return nil
	}
	outcomes, err := j.registerRows(ctx, j.principal, j.chunk, j.reason)
	if err != nil {
		return err
	}
	for n, outcome := range outcomes {
		j.report.Outcomes[outcome]++
		if outcome == deviceops.Conflict {
			j.reject(j.lines[n], j.chunk[n].ID, conflictReason(j.chunk[n]))
		}
	}
	j.chunk, j.lines = j.chunk[:0], j.lines[:0]
	return nil
}
