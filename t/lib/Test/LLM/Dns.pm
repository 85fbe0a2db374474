package Test::LLM::Dns;

# A name server of a few lines: A answers as scripted, everything else empty.
#
#   my $dns = Test::LLM::Dns->new('api.test' => ['127.0.0.1'], ...);
#   $dns->set('api.test', addr => ['127.0.0.2'], ttl => 1);
#   $dns->set('gone.test', rcode => 3);          # 2 SERVFAIL, 3 NXDOMAIN
#   $dns->set('slow.test', silent => 1);         # never answered
#   $dns->queries('api.test')                    how often it was asked

use strict;
use warnings;
use base 'Test::LLM::Process';

use IO::Select;
use IO::Socket::INET;


sub new {
    my ($class, %names) = @_;
    my $sock = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'udp',
    ) or die "udp: $!";

    my $self = bless {
        sock => $sock, port => $sock->sockport, asked => {},
        names => { map { $_ => { addr => $names{$_} } } keys %names },
    }, $class;

    $self->launch;
    close $sock;
    return $self;
}


sub port    { $_[0]{port} }
sub set     { my ($s, $name, %o) = @_; $s->call('set', $name, \%o) }
sub queries { $_[0]->call('queries', $_[1]) }

sub cmd_set     { my ($s, $name, $o) = @_; $s->{names}{ lc $name } = $o; 1 }
sub cmd_queries { $_[0]{asked}{ lc $_[1] } || 0 }


sub serve {
    my ($self) = @_;
    my $select = IO::Select->new($self->{sock}, $self->{control});

    for ( ;; ) {
        for my $fh ($select->can_read) {
            if ($fh == $self->{control}) {
                $self->answer or return;
                next;
            }
            my $from = recv $fh, my $query, 4096, 0;
            my $reply = $self->reply($query);
            send $fh, $reply, 0, $from if $reply;
        }
    }
}


sub reply {
    my ($self, $query) = @_;
    my ($id, $flags, $qd) = unpack 'nnn', $query;
    my ($at, @labels) = (12);

    while (my $len = ord substr $query, $at, 1) {
        push @labels, substr $query, $at + 1, $len;
        $at += $len + 1;
    }
    my $type = unpack 'n', substr $query, $at + 1, 2;
    my $question = substr $query, 12, $at + 5 - 12;
    my $name = lc join '.', @labels;
    my $entry = $self->{names}{$name} || { rcode => 3 };

    $self->{asked}{$name}++ if $type == 1;
    return if $entry->{silent};

    my @addr = $type == 1 ? @{ $entry->{addr} || [] } : ();
    my $answers = join '', map {
        pack('nnnNn', 0xc00c, 1, 1, $entry->{ttl} // 60, 4)
            . pack('C4', split /\./, $_)
    } @addr;

    return pack('nnnnnn', $id, 0x8180 | ($entry->{rcode} || 0), 1,
                scalar @addr, 0, 0) . $question . $answers;
}

1;
