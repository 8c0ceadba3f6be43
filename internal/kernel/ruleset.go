package kernel

import (
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleset is what is ours in the packet filter, as nft would print it:
//
//	table inet flask2ban {
//	  set ipv4 { type ipv4_addr; flags interval,timeout; }
//	  set ipv6 { type ipv6_addr; flags interval,timeout; }
//	  chain input {
//	    type filter hook input priority -10; policy accept;
//	    ip saddr @ipv4 tcp dport 80 counter drop
//	    ip6 saddr @ipv6 tcp dport 80 counter drop
//	  }
//	}
type ruleset struct {
	table      *nftables.Table
	ipv4, ipv6 *nftables.Set
	ports      []uint16
}

// priority is before that of usual filter chains, which accept what is known.
const priority = -10

func newRuleset(table string, ports []uint16) ruleset {
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: table}
	set := func(name string, kind nftables.SetDatatype) *nftables.Set {
		return &nftables.Set{Table: t, Name: name, KeyType: kind, Interval: true, HasTimeout: true, KeyByteOrder: binaryutil.BigEndian}
	}
	return ruleset{
		table: t, ports: ports,
		ipv4: set("ipv4", nftables.TypeIPAddr), ipv6: set("ipv6", nftables.TypeIP6Addr),
	}
}

// create puts the whole table, empty, in the place of any that there is.
func (r *ruleset) create(conn *nftables.Conn) {
	r.remove(conn)
	conn.AddTable(r.table)
	for _, set := range []*nftables.Set{r.ipv4, r.ipv6} {
		set.ID = 0            // a new one
		conn.AddSet(set, nil) // an error is that of Flush too
	}
	chain := conn.AddChain(&nftables.Chain{
		Table: r.table, Name: "input", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityRef(priority),
	})
	for _, port := range r.ports {
		conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: drop(r.ipv4, unix.NFPROTO_IPV4, 12, 4, port)})
		conn.AddRule(&nftables.Rule{Table: r.table, Chain: chain, Exprs: drop(r.ipv6, unix.NFPROTO_IPV6, 8, 16, port)})
	}
}

// remove takes the table away, whether there is one or not: only one that is
// there can be deleted, so it is made first.
func (r *ruleset) remove(conn *nftables.Conn) {
	conn.AddTable(r.table)
	conn.DelTable(r.table)
}

// drop is the rule: the source address, length bytes at an offset of the IP
// header, is in the set, and the port ours.
func drop(set *nftables.Set, family byte, offset, length uint32, port uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID},
		&expr.Counter{},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// elements are the networks in the sets of a table that an earlier process
// left; none where there is no such table.
func (r *ruleset) elements(conn *nftables.Conn) ([]netip.Prefix, error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == r.table.Name }) {
		return nil, nil
	}
	var all []netip.Prefix
	for _, set := range []*nftables.Set{r.ipv4, r.ipv6} {
		// A table of that name without our sets is replaced like any other.
		elements, _ := conn.GetSetElements(set)
		all = append(all, prefixes(elements)...)
	}
	return all, nil
}

// prefixes are the networks that begin and end with an element each. What is
// no network, since somebody else put it there, is left out.
func prefixes(elements []nftables.SetElement) []netip.Prefix {
	var begins []netip.Addr
	ends := map[netip.Addr]bool{}
	for _, e := range elements {
		a, ok := netip.AddrFromSlice(e.Key)
		switch {
		case ok && e.IntervalEnd:
			ends[a] = true
		case ok:
			begins = append(begins, a)
		}
	}
	var all []netip.Prefix
	for _, a := range begins {
		for bits := a.BitLen(); bits > 0; bits-- {
			p := netip.PrefixFrom(a, bits)
			if p.Masked().Addr() != a {
				break
			}
			if ends[after(p)] {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// after is the first address behind a network; the zero Addr behind the last.
func after(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < p.Addr().BitLen(); bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last.Next()
}

// interval is a network as the two elements of a set. An end needs no timeout:
// it goes with its beginning.
func interval(p netip.Prefix, timeout time.Duration) []nftables.SetElement {
	pair := []nftables.SetElement{{Key: p.Addr().AsSlice(), Timeout: timeout}}
	if end := after(p); end.IsValid() {
		pair = append(pair, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
	}
	return pair
}

// add puts networks into the sets with the next flush.
func (f *Firewall) add(now time.Time, fresh map[netip.Prefix]time.Time) error {
	pairs := map[*nftables.Set][]nftables.SetElement{}
	for p, until := range fresh {
		set := f.set(p)
		pairs[set] = append(pairs[set], interval(p, until.Sub(now))...)
	}
	return f.each(pairs, f.conn.SetAddElements)
}

// remove takes networks out of the sets with the next flush.
func (f *Firewall) remove(gone []netip.Prefix) error {
	pairs := map[*nftables.Set][]nftables.SetElement{}
	for _, p := range gone {
		set := f.set(p)
		pairs[set] = append(pairs[set], interval(p, 0)...)
	}
	return f.each(pairs, f.conn.SetDeleteElements)
}

func (f *Firewall) set(p netip.Prefix) *nftables.Set {
	if p.Addr().Is4() {
		return f.rules.ipv4
	}
	return f.rules.ipv6
}

// each hands elements on in messages of a size that netlink takes, and flushes
// when there are many.
func (f *Firewall) each(pairs map[*nftables.Set][]nftables.SetElement, do func(*nftables.Set, []nftables.SetElement) error) error {
	n := 0
	for set, elements := range pairs {
		for part := range slices.Chunk(elements, chunk) {
			if err := do(set, part); err != nil {
				return err
			}
			if n++; n%chunks != 0 {
				continue
			}
			if err := f.conn.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
