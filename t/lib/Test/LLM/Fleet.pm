package Test::LLM::Fleet;

# The world of the tests about limits that nodes share: three nodes with four
# workers each, one Redis (with a replica if asked for) behind a proxy per node,
# a provider that is the judge, a load, and time that may pass faster.
#
#   my $fleet = Test::LLM::Fleet->new(scale => 6, pair => 1, zone => '16m',
#       server => $locations, http => $more, alone => 1 (no Redis), n => 3,
#       workers => 4)->start;
#   $fleet->nodes, redis, provider, load, clock, faults
#   $fleet->offer(rate => 60, seconds => 10, path => '/x/..', ...)   and go on
#   my @records = $fleet->load->wait;
#   my $judge = $fleet->judge;          in the nodes' time
#
# Seconds of start() and offer() are of the nodes' clock; the rate is of ours.

use strict;
use warnings;

use Test::LLM::Clock;
use Test::LLM::Faults;
use Test::LLM::Gateway;
use Test::LLM::Judge;
use Test::LLM::Load;
use Test::LLM::Nodes;
use Test::LLM::Provider;
use Test::LLM::Redis;


sub new {
    my ($class, %o) = @_;
    my $self = bless { n => 3, workers => 4, zone => '16m', scale => 1,
        seed => $ENV{SEED} || 1 + int rand 1e6, %o }, $class;
    my $clock = $self->{clock} = Test::LLM::Clock->new(scale => $self->{scale},
        ahead => Test::LLM::Clock->morning);

    srand $self->{seed};
    if (!$self->{alone}) {
        ($self->{redis}, $self->{replica}) = $self->{pair}
            ? Test::LLM::Redis->pair(clock => $clock)
            : Test::LLM::Redis->new(clock => $clock);
    }
    $self->{provider} = Test::LLM::Provider->new(clock => $clock);
    $self->{load} = Test::LLM::Load->new(seed => $self->{seed});
    $self->{nodes} = Test::LLM::Nodes->new(
        n => $self->{n}, workers => $self->{workers}, clock => $clock,
        seed => $self->{seed}, level => $self->{level} || 'notice',
        env => { FLEET_KEY => 'sk-fleet-secret-1', %{ $self->{env} || {} } },
        vars => { UP => $self->{provider}->port, %{ $self->{vars} || {} } },
        $self->{redis} ? (redis => $self->{redis}, proxies => 1) : (),
        files => $self->{files} || {}, conf => $self->conf);
    $self->{faults} = Test::LLM::Faults->new(
        map { $_ => $self->{$_} } qw(nodes redis replica load note));
    return $self;
}


sub nodes    { $_[0]{nodes} }
sub redis    { $_[0]{faults}{redis} }
sub provider { $_[0]{provider} }
sub load     { $_[0]{load} }
sub clock    { $_[0]{clock} }
sub faults   { $_[0]{faults} }
sub seed     { $_[0]{seed} }


sub conf {
    my ($self) = @_;
    my $redis = $self->{redis}
        ? "llm_redis %%REDIS%% prefix=fleet: nodes=$self->{n};" : '';
    my $http = $self->{http} // '';
    my $server = $self->{server};

    return <<"EOC";
    llm_zone fleet:$self->{zone};
    llm_state %%DIR%%/state;
    $redis
    llm_key_pool one { key env:FLEET_KEY; cooldown off; }
    llm_provider up  { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys one; breaker off; keepalive 32; }
    llm_model m { provider up; id m-1; price input=1 output=3; }
    $http
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /plain/   { llm_pass m; }
        location /admin/   { llm_admin; }
        location = /metrics { llm_metrics; }
        $server
    }
EOC
}


sub start {
    my ($self) = @_;
    $self->{nodes}->start;
    $self->meet unless $self->{alone};
    return $self;
}

# until all nodes know of each other, and Redis of them
sub meet {
    my ($self) = @_;
    my @nodes = $self->{nodes}->nodes;

    Test::LLM::Gateway::wait_for(sub {
        !grep { nodes_known($_) != @nodes } @nodes
    }, 20) or die "the nodes did not meet\n";
}

sub nodes_known {
    my ($gw) = @_;
    my $page = $gw->get('/admin/redis')->json or return 0;
    return $page->{learning} ? 0 : scalar @{ $page->{live} || [] };
}


sub offer {
    my ($self, %o) = @_;
    my $clock = $self->{clock};

    $o{$_} = $clock->real($o{$_}) for grep { defined $o{$_} } qw(seconds);
    $o{waves} = [ (map { $clock->real($_) } @{ $o{waves} }[0, 1]),
                  @{ $o{waves} }[2 .. $#{ $o{waves} }] ] if $o{waves};
    $o{to} ||= $self->{nodes}->to;
    $self->{load}->start(%o);
    return $self->{load};
}

# so many seconds of the nodes' clock
sub pass {
    my ($self, $seconds) = @_;
    select undef, undef, undef, $self->{clock}->real($seconds);
}

sub judge { Test::LLM::Judge->new($_[0]{provider}->log) }

1;
