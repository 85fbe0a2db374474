# The script that shares a limit, in a real Redis, against its model in C (on
# which the simulation of test_llm_share.c runs): random declarations, and what
# they are answered.

use lib 't/lib';
use Test::LLM;
use Test::LLM::Redis;

use IPC::Open2;

plan skip_all => 'no redis-server' unless Test::LLM::Redis->available;

my $model = 'build/unit/llm_share.t';
system("make -s $model") == 0 or die "no model\n";

my $seed = $ENV{SEED} || time;
srand $seed;
note "seed $seed";

my $redis = Test::LLM::Redis->new;
my ($run) = $redis->cmd('INFO', 'server') =~ /run_id:(\w{8})/;

my $pid = open2(my $out, my $in, $model, 'model');
$in->autoflush(1);

# the text of the first script in the source
my $source = do { local (@ARGV, $/) = 'src/store/ngx_http_llm_share_script.c'; <> };
my ($text) = $source =~ /ngx_http_llm_share_script = \{ ngx_string\(\n(.*?)\n\), ""/s;
$text = join '', map { s/\\n$/\n/r =~ s/\\(["\\])/$1/gr } $text =~ /^"(.*)"$/mg;

my ($n, $wrong, %missing, %granted, %kinds) = (0, 0);

for my $round (1 .. 60) {
    my $window = (0, 200, 1000, 60000)[ rand 4 ];
    my $max = (7, 50, 1000, 9_000_000_000_000_000)[ rand 4 ];
    my @nodes = map { sprintf '%016x', $_ } 1 .. 1 + rand 6;
    my %seq = map { $_ => 1 + int rand 5 } @nodes;
    my %default = map { $_ => int(rand($max / @nodes + 1)) } @nodes;
    my %silent = map { $_ => rand() < 0.1 ? 'x' : '' } @nodes;
    my $grace = (0, 30, 3000)[ rand 3 ];

    $redis->cmd('FLUSHALL') if $round % 3 == 0;
    $redis->cmd('DEL', 'h');
    print $in "reset\n";

    for (1 .. 40) {
        my $node = $nodes[ rand @nodes ];
        my $seq = rand() < 0.1 ? $seq{$node} - int rand 3 : ++$seq{$node};
        $seq = 0 if $seq < 0;
        my @args = ($node, $seq, int(rand($max * (rand() < 0.5 ? 1 : 1 / @nodes))),
            $window ? int rand 3 * $window : 0, int(rand() < 0.3 ? 0 : rand $max),
            $max, $window, 3_600_000, $grace);
        my @peers = map { $_, $silent{$_} . $default{$_} }
            grep { $_ eq $node || rand() < 0.9 } @nodes;

        # the model is told the time of the execution: between these two it was
        my ($reply, $now);
        for (1 .. 20) {
            my @r = map { $_->[0] // $_->[1] } $redis->pipeline([ 'TIME' ], [ 'EVAL', $text, 1, 'h', @args, @peers ], [ 'TIME' ]);
            my ($a, $b) = map { $_->[0] * 1000 + int $_->[1] / 1000 } @r[0, 2];
            ($reply, $now) = ($r[1], $a);
            last if $a == $b;
            # a millisecond passed: which one it was cannot be told, so again,
            # as a later declaration of the same
            print $in join(' ', $b, $run, @args, @peers), "\n";
            my $ignored = <$out>;
            $args[1] = $seq{$node} = $seq = $seq{$node} + 1;
        }
        print $in join(' ', $now, $run, @args, @peers), "\n";
        chomp(my $want = <$out>);
        my $got = ref $reply ? join ' ', @$reply : $reply;

        $n++;
        $kinds{ $window ? 'sliding' : 'calendar' }++;
        $missing{ $reply->[3] ? 'some' : 'none' }++ if ref $reply;
        $granted{ ref $reply && $reply->[1] > $args[2] ? 'granted' : 'not' }++;
        next if same($got, $want);
        diag "@args @peers\n got: $got\nwant: $want" if $wrong++ < 3;
    }

    my $ttl = $redis->cmd('PTTL', 'h');
    $wrong++, diag "ttl $ttl" if $ttl <= 0 || $ttl > 3_600_000;
}

# a declaration repeated across a millisecond may end one later
sub same {
    my @a = split ' ', $_[0];
    my @b = split ' ', $_[1];
    return 0 if @a != @b;
    for my $i (0 .. $#a) {
        next if $a[$i] eq $b[$i];
        return 0 unless ($i == 2 || $i == 5) && abs($a[$i] - $b[$i]) <= 40;
    }
    return 1;
}

is($wrong, 0, "the script and its model agree on $n declarations");
cmp_ok($_->[1] // 0, '>', 30, "... among them $_->[0]")
    for map { my $h = $_; map { [ $_, $h->{$_} ] } sort keys %$h } \%missing, \%granted, \%kinds;

close $in;
waitpid $pid, 0;

finish();
