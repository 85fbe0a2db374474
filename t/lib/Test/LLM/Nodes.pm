package Test::LLM::Nodes;

# Several nodes of one gateway: nginx instances from one configuration, with one
# Redis, each with its own port, directory and clock.
#
#   my $nodes = Test::LLM::Nodes->new(
#       n => 3, workers => 4, redis => $redis,
#       conf => $text,      %%REDIS%% is the address, %%NODE%% 0, 1, 2; and what
#                           Test::LLM::Gateway fills in
#       proxies => 1,       a Test::LLM::RespProxy before each node's Redis
#       clock => $clock,    a Test::LLM::Clock: each node gets one of its own
#       vars, env, files, main, level, secrets  as of Test::LLM::Gateway
#   )->start;
#   $nodes->node(0)->get('/');          a Test::LLM::Gateway
#   $nodes->proxy(1)->set(cut => 'silent');
#   $nodes->clock(2, 300_000);          milliseconds ahead
#   $nodes->kill_worker(0); $nodes->reload(1);
#   $nodes->leave(2); $nodes->join_one; one goes; another one comes
#   $nodes->to                          of those that run, for Test::LLM::Load
#   $nodes->metric('llm_x_total', rule => 'r')      summed over all nodes

use strict;
use warnings;

use Test::LLM::Clock;
use Test::LLM::Gateway;
use Test::LLM::RespProxy;


sub new {
    my ($class, %o) = @_;
    my $self = bless { n => 3, workers => 4, %o, all => [] }, $class;
    $self->_add for 1 .. $self->{n};
    return $self;
}


sub _add {
    my ($self) = @_;
    my $i = @{ $self->{all} };
    my $seed = $self->{seed};
    my $proxy = $self->{proxies}
        ? Test::LLM::RespProxy->new(redis => $self->{redis},
            defined $seed ? (seed => $seed + $i) : ())
        : undef;
    my $port = $proxy ? $proxy->port : $self->{redis} ? $self->{redis}->port : 0;
    my %env = %{ $self->{env} || {} };
    my $clock;

    if ($self->{clock}) {
        $clock = $self->{clock}->twin;
        %env = (%env, $clock->env);
    }

    my $gw = Test::LLM::Gateway->new(
        (map { $_ => $self->{$_} } grep { defined $self->{$_} }
            qw(conf main files level secrets events keep_env module)),
        workers => $self->{workers}, env => \%env,
        vars => { REDIS => "127.0.0.1:$port", NODE => $i,
                  %{ $self->{vars} || {} } },
    );
    push @{ $self->{all} }, { gw => $gw, proxy => $proxy, clock => $clock,
                              name => "n$i" };
    return $self->{all}[-1];
}


sub start {
    my ($self) = @_;
    $_->{gw}->start, $_->{up} = 1 for @{ $self->{all} };
    return $self;
}

sub node  { $_[0]{all}[ $_[1] ]{gw} }
sub proxy { $_[0]{all}[ $_[1] ]{proxy} }
sub nodes { map { $_->{gw} } grep { $_->{up} } @{ $_[0]{all} } }
sub proxies { map { $_->{proxy} } grep { $_->{up} } @{ $_[0]{all} } }

sub to {
    my ($self, %weight) = @_;
    return [ map { { name => $_->{name}, port => $_->{gw}->port,
                     weight => $weight{ $_->{name} } // 1 } }
             grep { $_->{up} } @{ $self->{all} } ];
}


# ---- what happens to nodes --------------------------------------------------

# another node; its index
sub join_one {
    my ($self) = @_;
    my $new = $self->_add;
    $new->{gw}->start;
    $new->{up} = 1;
    return $#{ $self->{all} };
}

# out of the load first: take to() anew before this
sub leave {
    my ($self, $i, $how) = @_;
    my $node = $self->{all}[$i];
    $node->{up} = 0;
    return $how && $how eq 'stop' ? $node->{gw}->stop(20) : $node->{gw}->quit(20);
}

sub out { my ($s, $i) = @_; $s->{all}[$i]{up} = 0 }

sub back {
    my ($self, $i) = @_;
    $self->{all}[$i]{gw}->start unless $self->{all}[$i]{gw}->pid;
    $self->{all}[$i]{up} = 1;
}

# SIGKILL of one worker; returns when another one has taken its place
sub kill_worker {
    my ($self, $i, $which) = @_;
    my $gw = $self->node($i);
    my @workers = $gw->workers;
    my $pid = $workers[ $which // int rand @workers ];

    $gw->expect_log(qr/exited on signal 9/);
    kill 'KILL', $pid;
    return Test::LLM::Gateway::wait_for(sub {
        my @now = $gw->workers;
        return @now >= @workers && !grep { $_ == $pid } @now;
    }, 15);
}

sub reload {
    my ($self, $i, $conf) = @_;
    return $self->node($i)->reload($conf);
}

# milliseconds that a node's clock is ahead
sub clock {
    my ($self, $i, $ms) = @_;
    $self->{all}[$i]{clock}->set($ms);
}


# ---- what they say ----------------------------------------------------------

# the samples of a metrics page: name with labels => value
sub samples {
    my ($gw, $path) = @_;
    my $page = $gw->get($path || '/metrics');
    die 'no metrics: ' . $page->status . "\n" unless $page->status == 200;
    return map { /^([a-zA-Z_:]\w*(?:\{.*\})?) (\S+)$/ ? ($1, $2) : () }
        split /\n/, $page->body;
}

# the sum over all nodes that run of the samples with this name and these labels
sub metric {
    my ($self, $name, %labels) = @_;
    my $sum = 0;

    for my $gw ($self->nodes) {
        my %all = samples($gw, $self->{metrics});
        for my $key (keys %all) {
            next unless $key =~ /^\Q$name\E(?:\{|$)/;
            next if grep { index($key, qq($_="$labels{$_}")) < 0 } keys %labels;
            $sum += $all{$key};
        }
    }
    return $sum;
}

1;
