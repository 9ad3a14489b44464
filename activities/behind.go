package activities

import (
	"context"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// maxForebears bounds how far back the people behind a run are looked up; runs
// start one another less deep.
const maxForebears = 16

// behind gives the people behind a run besides its starter. What started it
// names itself in started_by: run:ID, automation:NAME or automation:NAME@VERSION.
// Those behind a run that it goes on with are behind it too.
func (a *Runs) behind(ctx context.Context, r deviceops.Run) (people []string, err error) {
	for range maxForebears {
		kind, name, _ := strings.Cut(r.StartedBy, ":")
		if r.RerunOf != nil { // somebody started it, and somebody else may have started what it goes on with
			kind, name = "run", r.RerunOf.Run
		}
		switch kind {
		case "run":
			if r, err = a.deps.Store.FindRun(ctx, name); err == nil {
				people = append(people, r.StartedBy)
			}
		case "automation":
			return a.publisher(ctx, people, r.Account, name)
		default:
			return people, nil
		}
		if err != nil {
			return people, known(err)
		}
	}
	return people, nil
}

// publisher adds who published an automation to people.
func (a *Runs) publisher(ctx context.Context, people []string, account, automation string) ([]string, error) {
	name, number, _ := strings.Cut(automation, "@")
	version, _ := strconv.Atoi(number) // 0, the newest, where none is named
	doc, err := a.deps.Store.FindDocument(ctx, account, deviceops.KindAutomation, name, version)
	if err != nil {
		return people, known(err)
	}
	return append(people, doc.PublishedBy), nil
}

// known passes over what is not found: nobody can be named then.
func known(err error) error {
	if deviceops.ErrorCode(err) == deviceops.ENOTFOUND {
		return nil
	}
	return err
}
