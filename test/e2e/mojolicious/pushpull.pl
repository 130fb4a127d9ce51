use Mojo::Base -strict, -signatures;
use Test::More;
use Peer qw(listener post sender);

my $pusher    = Peer->open(sender('/push/foo'));
my @pullers   = map { Peer->open(sender('/pull/foo')) } 1 .. 2;
my %strangers = map { $_ => Peer->open(listener($_)) } qw(/pull/bar /pull/foo/below /sub/foo /bus/foo);

# Each message goes to the puller whose turn it is, and to nobody else.
sub in_turns (@turns) {
  for my $puller (@turns) {
    $pusher->say('a turn');
    is_deeply $puller->hear, ['a turn'];
    is_deeply $_->heard, [], 'nobody else' for grep { $_ != $puller } @pullers;
  }
}

# Pushes until all pullers have heard of it: those of another process may have their first turn a little later.
sub meet_all {
  my %seen;
  while (keys %seen < @pullers) {
    $pusher->say('anybody there?');
    Peer::wait_for('a puller', sub { grep { @{$_->heard} } @pullers });
    $seen{$_} = splice @{$pullers[$_]->heard} for grep { @{$pullers[$_]->heard} } 0 .. $#pullers;
  }
}

subtest 'pullers take turns' => sub { in_turns(@pullers[0, 1, 0, 1, 0]) };

subtest 'one that leaves is passed over' => sub {
  (splice @pullers, 1, 1)->close;
  in_turns(@pullers[0, 0, 0]);
};

subtest 'one that comes has its turn after those that were there' => sub {
  push @pullers, Peer->open(sender('/pull/foo'));
  in_turns(@pullers[0, 1, 0, 1]);
};

subtest 'one that goes without a word is passed over' => sub {
  (pop @pullers)->vanish;
  my @sent = map {"$_"} 1 .. 10;
  $pusher->say(@sent);
  is_deeply $pullers[0]->hear(10), \@sent;
};

subtest 'pullers of two processes take turns' => sub {
  push @pullers, Peer->open(listener('/pull/foo'));
  meet_all();
  $pusher->say('whose turn?');
  Peer::wait_for('a puller', sub { grep { @{$_->heard} } @pullers });
  my ($first)  = grep { @{$_->heard} } @pullers;
  my ($second) = grep { $_ != $first } @pullers;
  $first->hear;
  in_turns($second, $first, $second, $first);
};

subtest 'what nobody pulls waits for the next, in its order' => sub {
  $_->close for splice @pullers;
  $pusher->say('first', 'second');
  is_deeply [post(sender('/push/foo'), 'third')], [200, ''];
  push @pullers, Peer->open(listener('/pull/foo'));
  is_deeply $pullers[0]->hear(3), [qw(first second third)];
};

subtest 'POST pushes its body, and is answered with nothing' => sub {
  for my $bytes ("posted \xc3\xbc", '', "\x00\xff") {
    is_deeply [post(sender('/push/foo'), $bytes)], [200, ''];
    is_deeply $pullers[0]->hear, [$bytes];
  }
};

subtest 'each of many messages comes once, to one of many pullers' => sub {
  push @pullers, map { Peer->open($_) } listener('/pull/foo'), sender('/pull/foo');
  meet_all();
  my @sent = map {"$_"} 1 .. 900;
  $pusher->say(@sent);
  Peer::wait_for('all messages', sub { @sent == map { @{$_->heard} } @pullers });
  my @heard = map { $_->[1] } map { @{$_->heard} } @pullers;
  is_deeply [sort { $a <=> $b } @heard], \@sent;
  for (@pullers) {
    my @own = map { $_->[1] } splice @{$_->heard};
    cmp_ok scalar @own, '>', 0, 'one has its part of it';
    is_deeply \@own, [sort { $a <=> $b } @own], 'in order';
  }
};

subtest 'what a puller says is ignored, and a pusher is told nothing' => sub {
  $pullers[0]->say('nobody hears', [1, 0, 0, 0, 9, 'read']);
  is $pullers[0]->hears_pong, 'read';
  $pusher->say([1, 0, 0, 0, 9, 'done']);
  is $pusher->hears_pong, 'done';
  is_deeply $_->heard, [] for $pusher, @pullers;
};

subtest 'nobody else has heard any of it' => sub {
  post(sender($_), 'your own') for qw(/push/bar /push/foo/below /pub/foo /bus/foo);
  is_deeply $strangers{$_}->hear, ['your own'], $_ for sort keys %strangers;
  is_deeply $_->heard, [], 'and no puller has heard the strangers' for @pullers;
};

done_testing;
