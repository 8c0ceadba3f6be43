package app

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// identity is who the app runs as.
type identity struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
	// drop is set where that is someone else than us.
	drop bool
	// warning is for the operator; empty mostly.
	warning string
}

// credential is what a child process needs to become the identity; nil where
// it is us.
func (id identity) credential() *syscall.Credential {
	if !id.drop {
		return nil
	}
	return &syscall.Credential{Uid: id.uid, Gid: id.gid, Groups: id.groups}
}

// chooser holds what the choice of a user depends on, besides the flags.
type chooser struct {
	euid    int
	sudoUID string
	// owner returns the owner of what is run.
	owner func() (uid uint32, err error)
}

// chooseUser follows DESIGN section 6: started as root, the app runs as
// --user; else as $SUDO_UID; else as the owner of APP; if that is root too, as
// root with a warning.
func chooseUser(name, group string, ch chooser) (identity, error) {
	if ch.euid != 0 {
		return stay(name, group, ch.euid)
	}
	if name == "" {
		name = ch.implied()
	}
	id, err := lookUp(name, group)
	if err != nil {
		return identity{}, err
	}
	if id.uid == 0 {
		id.warning = "the app runs as root: name an unprivileged user with --user"
	}
	id.drop = id.uid != 0 || group != ""
	return id, nil
}

// stay is the choice of someone who can't become anyone else.
func stay(name, group string, euid int) (identity, error) {
	id, err := lookUp(strconv.Itoa(euid), "")
	if err != nil {
		return identity{}, err
	}
	if name != "" && name != id.name && name != strconv.Itoa(euid) {
		return identity{}, fmt.Errorf("run the app as %s: only root can; start as root or without --user", name)
	}
	if group != "" {
		return identity{}, errors.New("run the app in another group: only root can; start as root or without --group")
	}
	return id, nil
}

// implied is the user id where no flag names one, as text.
func (ch chooser) implied() string {
	if _, err := strconv.ParseUint(ch.sudoUID, 10, 32); err == nil {
		return ch.sudoUID
	}
	if uid, err := ch.owner(); err == nil {
		return strconv.FormatUint(uint64(uid), 10)
	}
	return "0"
}

// lookUp finds a user by name or number. A number needs no entry in
// /etc/passwd: containers often have none.
func lookUp(name, group string) (identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		u, err = byNumber(name)
	}
	if err != nil {
		return identity{}, err
	}
	id := identity{name: u.Username, home: u.HomeDir}
	if id.uid, err = number(u.Uid); err != nil {
		return identity{}, err
	}
	if id.gid, err = number(u.Gid); err != nil {
		return identity{}, err
	}
	id.groups = groupsOf(u)
	if group == "" {
		return id, nil
	}
	return id, id.setGroup(group)
}

func byNumber(name string) (*user.User, error) {
	if _, err := number(name); err != nil {
		return nil, fmt.Errorf("look up user %q: there is no such user", name)
	}
	if u, err := user.LookupId(name); err == nil {
		return u, nil
	}
	return &user.User{Uid: name, Gid: name, Username: name, HomeDir: "/"}, nil
}

func (id *identity) setGroup(group string) error {
	text := group
	if g, err := user.LookupGroup(group); err == nil {
		text = g.Gid
	}
	gid, err := number(text)
	if err != nil {
		return fmt.Errorf("look up group %q: there is no such group", group)
	}
	id.gid = gid
	id.groups = append(id.groups, gid)
	return nil
}

// groupsOf are the supplementary groups, without an error: a user without
// entries has none.
func groupsOf(u *user.User) []uint32 {
	texts, err := u.GroupIds()
	if err != nil {
		return nil
	}
	groups := make([]uint32, 0, len(texts))
	for _, text := range texts {
		if gid, err := number(text); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups
}

func number(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	return uint32(n), err
}

// ownerOf is who owns path.
func ownerOf(path string) (uint32, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("owner of %s: unknown on this system", path)
	}
	return stat.Uid, nil
}
